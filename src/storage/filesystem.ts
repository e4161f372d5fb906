import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import {
  lstat,
  mkdir,
  open,
  opendir,
  readdir,
  readFile,
  rename,
  rmdir,
  unlink,
  type FileHandle,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { BLOBS, DIRECTORY, IMPORTS, STORE_FILE, STORE_FORMAT } from '../cache/layout.ts';
import type { ObjectStorage, ObjectWriter } from '../cache/object-storage.ts';
import { checkRoom, ROOM_CHECK_INTERVAL } from './free-space.ts';
import { storageError } from './storage-error.ts';
import { isLeftover, ownerTag } from './temporary-name.ts';

/** Objects being written; on the store's own file system, because they get their name by a rename. */
const TEMPORARY = 'tmp';

export interface FilesystemOptions {
  /** Whether the store is opened to be written: it's made where there is none, and what killed writers left goes. */
  readonly write: boolean;
  /** Bytes that writing leaves free on the disk. */
  readonly minFreeSpace?: number;
}

/**
 * Objects as files below `root`.
 *
 * A file is written under `tmp/`, fsynced and renamed, then the folder that names it is fsynced: only after that the
 * writer is told. Files are read-only, because nothing in a store is ever modified.
 * @throws CacheError `storage` when there's no store, or one of a format of the future
 */
export async function openFilesystemStorage(
  root: string,
  { write, minFreeSpace = 0 }: FilesystemOptions,
): Promise<ObjectStorage> {
  const storage = createFilesystemStorage(root, minFreeSpace);
  const format = await readFormat(root);
  if (format === undefined) {
    if (write) await initialise(root, storage);
    else await checkIsStore(root);
  } else if (format !== STORE_FORMAT) {
    throw new CacheError(
      'storage',
      `the store ${root} has format ${JSON.stringify(format)}; this program knows ${STORE_FORMAT}: use a newer one`,
    );
  }
  if (write) await removeLeftovers(join(root, TEMPORARY));
  return storage;
}

function createFilesystemStorage(root: string, minFreeSpace: number): ObjectStorage {
  const pathOf = (name: string): string => join(root, ...name.split('/'));

  return {
    async stat(name) {
      const path = pathOf(name);
      try {
        const stats = await lstat(path);
        if (stats.isFile()) return { size: stats.size, modified: stats.mtimeMs };
      } catch (error) {
        throwUnlessAbsent(error, `can't look at ${path}`);
        await checkIsStillThere(root);
        return undefined;
      }
      throw new CacheError('storage', `${path} is not a file; move it out of the store`);
    },

    async open(name) {
      const path = pathOf(name);
      let file: FileHandle;
      try {
        // Without O_NONBLOCK, opening a pipe that somebody left in a blob's place would wait for ever.
        file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
      } catch (error) {
        throwUnlessAbsent(error, `can't open ${path}`);
        await checkIsStillThere(root);
        return undefined;
      }
      try {
        const stats = await file.stat();
        if (!stats.isFile())
          throw new CacheError('storage', `${path} is not a file; move it out of the store`);
        return {
          size: stats.size,
          modified: stats.mtimeMs,
          async read(into, position) {
            try {
              return (await file.read(into, 0, into.byteLength, position)).bytesRead;
            } catch (error) {
              throw storageError(error, `can't read ${path}`);
            }
          },
          close: () => file.close(),
        };
      } catch (error) {
        await file.close();
        throw storageError(error, `can't look at ${path}`);
      }
    },

    async create(size) {
      if (size !== undefined) await checkRoom(root, size, minFreeSpace);
      const path = join(root, TEMPORARY, `${ownerTag()}.${randomBytes(9).toString('hex')}`);
      return createWriter(root, path, await createTemporary(root, path), minFreeSpace, pathOf);
    },

    async *list(prefix) {
      const folder = prefix.slice(0, -1);
      if (folder.includes('/')) yield* namesInSmallFolder(pathOf(folder), prefix);
      else yield* namesInLargeFolder(pathOf(folder), prefix);
      await checkIsStillThere(root);
    },

    async remove(name) {
      const path = pathOf(name);
      try {
        await unlink(path);
      } catch (error) {
        throwUnlessAbsent(error, `can't remove ${path}`);
        await checkIsStillThere(root);
        return false;
      }
      // A key's folder goes with its last entry.
      try {
        await rmdir(dirname(path));
      } catch (error) {
        const code = systemCode(error);
        if (code !== 'ENOTEMPTY' && code !== 'EEXIST' && code !== 'ENOENT') {
          throw storageError(error, `can't remove the folder ${dirname(path)}`);
        }
      }
      return true;
    },
  };
}

/** The folder of a key: a handful of entries, looked at in one system call. */
async function* namesInSmallFolder(path: string, prefix: string): AsyncGenerator<string> {
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`);
    return;
  }
  for (const name of names) yield prefix + name;
}

/** The folder of all blobs or all keys: perhaps a million names, never held at once. */
async function* namesInLargeFolder(path: string, prefix: string): AsyncGenerator<string> {
  try {
    for await (const item of await opendir(path, { bufferSize: 512 })) {
      if (item.isDirectory()) yield* namesInSmallFolder(join(path, item.name), `${prefix}${item.name}/`);
      else yield prefix + item.name;
    }
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`);
  }
}

function createWriter(
  root: string,
  path: string,
  file: FileHandle,
  minFreeSpace: number,
  pathOf: (name: string) => string,
): ObjectWriter {
  let state: 'open' | 'committed' | 'aborted' = 'open';
  let closed = false;
  let position = 0;
  let nextCheck = ROOM_CHECK_INTERVAL;

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    await file.close();
  };

  return {
    async write(chunk) {
      if (position >= nextCheck) {
        nextCheck = position + ROOM_CHECK_INTERVAL;
        await checkRoom(root, 0, minFreeSpace);
      }
      try {
        for (let offset = 0; offset < chunk.byteLength;) {
          const { bytesWritten } = await file.write(chunk, offset, chunk.byteLength - offset, position);
          offset += bytesWritten;
          position += bytesWritten;
        }
      } catch (error) {
        throw storageError(error, `can't write ${path}`);
      }
    },
    async commit(name) {
      const target = pathOf(name);
      try {
        await file.sync();
        await close();
        await moveInto(root, path, target);
        state = 'committed';
      } catch (error) {
        throw storageError(error, `can't write ${target}`);
      }
    },
    async abort() {
      if (state !== 'open') return;
      state = 'aborted';
      try {
        await close();
        await unlink(path);
      } catch (error) {
        throwUnlessAbsent(error, `can't remove ${path}`);
      }
    },
  };
}

/** Renames, and makes durable the name and every folder that was made for it. */
async function moveInto(root: string, path: string, target: string): Promise<void> {
  const folder = dirname(target);
  let firstMade: string | undefined;
  // Somebody who removes the last object of a folder removes the folder too: in the middle of these, now and then.
  for (let attempt = 0; ; attempt++) {
    // A folder made in an empty mount point would pass for a store, and everything in it for missing.
    if (folder !== root) await checkIsStillThere(root);
    try {
      const made = await mkdir(folder, { recursive: true });
      firstMade ??= made;
      await rename(path, target);
    } catch (error) {
      if (systemCode(error) === 'ENOENT' && attempt < 10) continue;
      throw error;
    }
    await syncFolder(folder);
    if (firstMade !== undefined) {
      for (let made = folder; made !== root && made.length >= firstMade.length;) {
        made = dirname(made);
        await syncFolder(made);
      }
    }
    return;
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } catch (error) {
    // FAT and some network file systems can't sync a folder; there is nothing better to do on them.
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await folder.close();
  }
}

async function createTemporary(root: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o444);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw storageError(error, `can't write ${path}`);
  }
  await checkIsStillThere(root);
  try {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, 'wx', 0o444);
  } catch (error) {
    throw storageError(error, `can't write ${path}`);
  }
}

/** @returns the format that store.json tells, undefined where there is none */
async function readFormat(root: string): Promise<unknown> {
  const path = join(root, STORE_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throwUnlessAbsent(error, `can't read ${path}`);
    return undefined;
  }
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content === 'object' && content !== null && 'format' in content) return content.format;
  } catch (error) {
    throw new CacheError(
      'storage',
      `${path} is damaged: it is not JSON; restore it as {"format": ${STORE_FORMAT}}`,
      {
        cause: error,
      },
    );
  }
  throw new CacheError(
    'storage',
    `${path} is damaged: it tells no format; restore it as {"format": ${STORE_FORMAT}}`,
  );
}

async function initialise(root: string, storage: ObjectStorage): Promise<void> {
  try {
    await mkdir(join(root, TEMPORARY), { recursive: true });
    const others = (await readdir(root)).filter(
      (name) => ![TEMPORARY, IMPORTS.slice(0, -1), ...STORE_FOLDERS].includes(name),
    );
    if (others.length > 0) {
      throw new CacheError(
        'storage',
        `${root} is not a store and not empty (it holds ${others.slice(0, 3).join(', ')}); name an empty folder`,
      );
    }
  } catch (error) {
    throw storageError(error, `can't make the store ${root}`);
  }
  const writer = await storage.create();
  try {
    await writer.write(Buffer.from(`${JSON.stringify({ format: STORE_FORMAT })}\n`));
    await writer.commit(STORE_FILE);
  } finally {
    await writer.abort();
  }
}

const STORE_FOLDERS = [BLOBS, DIRECTORY].map((prefix) => prefix.slice(0, -1));

/** A store that was put together by copying `bcache` and `bdir` is one, too. */
async function checkIsStore(root: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(root);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw storageError(error, `can't read the store ${root}`);
    throw new CacheError('storage', `there is no store at ${root}; make one with: cache import FOLDER`);
  }
  if (!STORE_FOLDERS.some((name) => names.includes(name))) {
    throw new CacheError(
      'storage',
      `${root} is not a store: it has no ${STORE_FILE}; make one with: cache import FOLDER`,
    );
  }
}

/**
 * A disk that was unplugged leaves an empty mount point, where everything seems to be missing. A miss counts only in
 * a store that is there.
 */
async function checkIsStillThere(root: string): Promise<void> {
  try {
    await lstat(join(root, STORE_FILE));
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${join(root, STORE_FILE)}`);
    await checkIsStore(root);
  }
}

/** Removes what killed writers left. Cheap: only files being written stand there. */
async function removeLeftovers(folder: string): Promise<void> {
  for await (const path of namesInSmallFolder(folder, `${folder}/`)) {
    try {
      const { mtimeMs } = await lstat(path);
      if (isLeftover(path.slice(folder.length + 1), mtimeMs)) await unlink(path);
    } catch (error) {
      throwUnlessAbsent(error, `can't clean up ${path}`);
    }
  }
}

/** "There is no such object" is a miss; any other fault of the disk is an error. */
function throwUnlessAbsent(error: unknown, doing: string): void {
  if (systemCode(error) !== 'ENOENT') throw storageError(error, doing);
}
