import { constants } from 'node:fs';
import { lstat, open, opendir, readdir, rmdir, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { STORE_FILE, STORE_FORMAT } from '../cache/layout.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { writeSmallObject } from '../cache/small-object.ts';
import { createDurableNames, makeDurable } from './durable-names.ts';
import { createFileWriter } from './file-writer.ts';
import { isLoss, storageError, throwUnlessAbsent } from './storage-error.ts';
import {
  checkIsStillThere,
  checkIsStore,
  DamagedMark,
  isMarked,
  NoStore,
  readFormat,
  removeLeftovers,
} from './store-folder.ts';
import { syncFolder } from './sync-folder.ts';
import { createRoom } from './upload-room.ts';
import { createUnmadeStore, type UnmadeStore } from './unmade-store.ts';

export interface FilesystemOptions {
  /** Whether the store is opened to be written: what killed writers left goes. */
  readonly write: boolean;
  /** What is done where there is no store; unless told, one is made where it is to be written. */
  readonly whereNone?: WhereNone;
  /** Whether the folder of a store that is made must be there already, as that of a medium. */
  readonly inFolder?: boolean;
  /** Bytes that writing leaves free on the disk. */
  readonly minFreeSpace?: number;
  /** Told where there is none and one is to be made. */
  readonly onNone?: () => void;
  /** Told, once, why the owner of the store, such as a server, can't read what is written. */
  readonly onOwnerFault?: (fault: string) => void;
}

/**
 * `make-later`: it is made with the first object that gets its name, and has nothing until then. `await`: somebody else
 * makes it, and until then all that is done with it fails.
 */
export type WhereNone = 'refuse' | 'make' | 'make-later' | 'await';

/**
 * Objects as files below `root`.
 *
 * A file is written under `tmp/`, fsynced and renamed, then the folder that names it is fsynced: only after that the
 * writer is told. Files are read-only, because nothing in a store is ever modified.
 * @throws CacheError `storage` when there's no store and none may be made, or one of a format of the future
 */
export async function openFilesystemStorage(
  root: string,
  {
    write,
    whereNone = write ? 'make' : 'refuse',
    inFolder = false,
    minFreeSpace = 0,
    onNone,
    onOwnerFault,
  }: FilesystemOptions,
): Promise<ObjectStorage> {
  const found = await findStore(root, whereNone);
  const isMade = found === 'none' && (whereNone === 'make' || whereNone === 'make-later');
  // A full disk can be served, too: the reserve doesn't count for the mark of a store.
  const mark = (unmade?: UnmadeStore): Promise<void> => writeMark(createFilesystemStorage(root, { unmade }));
  const unmade = isMade ? createUnmadeStore(root, { mark, inFolder }) : undefined;
  if (isMade) onNone?.();
  if (unmade !== undefined || (write && found === 'unmarked')) {
    if (await isMarked(root)) checkFormat(root, await readFormat(root));
    else if (unmade === undefined || whereNone === 'make') await mark(unmade);
  }
  if (write) await removeLeftovers(root);
  return createFilesystemStorage(root, { minFreeSpace, unmade, onOwnerFault });
}

/** @throws CacheError `storage` as `openFilesystemStorage` */
async function findStore(root: string, whereNone: WhereNone): Promise<'marked' | 'unmarked' | 'none'> {
  const format = await readFormat(root);
  if (format !== undefined) {
    checkFormat(root, format);
    return 'marked';
  }
  try {
    await checkUnmarked(root);
    return 'unmarked';
  } catch (error) {
    if (whereNone === 'refuse' || !(error instanceof NoStore)) throw error;
    return 'none';
  }
}

/**
 * A store as it is, for whoever looks after it: nothing is made and nothing is tidied up, also when it is written to
 * later. A damaged `store.json` is told rather than thrown.
 * @throws CacheError `storage` as `openFilesystemStorage` does for anything else
 */
export async function openStorageForUpkeep(
  root: string,
  options: Pick<FilesystemOptions, 'minFreeSpace' | 'onOwnerFault'> = {},
): Promise<{ readonly storage: ObjectStorage; readonly markFault: CacheError | undefined }> {
  const storage = createFilesystemStorage(root, options);
  try {
    const format = await readFormat(root);
    if (format !== undefined) checkFormat(root, format);
    else await checkUnmarked(root);
    return { storage, markFault: undefined };
  } catch (error) {
    if (!(error instanceof DamagedMark) && !isLoss(error)) throw error;
    await checkIsStore(root);
    return { storage, markFault: error };
  }
}

/** No `store.json` was found: a store is one without it, too, and its maker may have written it since. */
async function checkUnmarked(root: string): Promise<void> {
  try {
    await checkIsStore(root);
  } catch (error) {
    const format = await readFormat(root);
    if (format === undefined) throw error;
    checkFormat(root, format);
  }
}

function checkFormat(root: string, format: unknown): void {
  if (format === STORE_FORMAT) return;
  if (format === undefined) throw new DamagedMark(join(root, STORE_FILE), 'it is a link that leads nowhere');
  throw new CacheError(
    'storage',
    `the store ${root} has format ${JSON.stringify(format)}; this program knows ${STORE_FORMAT}: use a newer one`,
  );
}

function writeMark(storage: ObjectStorage): Promise<void> {
  return writeSmallObject(storage, STORE_FILE, JSON.stringify({ format: STORE_FORMAT }));
}

function createFilesystemStorage(
  root: string,
  {
    minFreeSpace = 0,
    unmade,
    onOwnerFault,
  }: {
    readonly minFreeSpace?: number;
    readonly unmade?: UnmadeStore | undefined;
    readonly onOwnerFault?: ((fault: string) => void) | undefined;
  },
): ObjectStorage {
  const pathOf = (name: string): string => join(root, name);
  const durable = createDurableNames();
  const room = createRoom(root, minFreeSpace);
  const checkMiss = async (name: string): Promise<void> => {
    if (unmade?.isPending !== true) await checkIsStillThere(root, name);
  };

  return {
    async stat(name) {
      const path = pathOf(name);
      try {
        const stats = await lstat(path);
        if (stats.isFile()) return { size: stats.size, modified: stats.mtimeMs };
      } catch (error) {
        throwUnlessAbsent(error, `can't look at ${path}`);
        await checkMiss(name);
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
        await checkMiss(name);
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

    create: (size, holder) =>
      createFileWriter(root, { size, holder, room, pathOf, durable, onOwnerFault, unmade }),

    async *list(prefix) {
      const folder = prefix.slice(0, -1);
      if (folder.includes('/')) {
        const names = await namesInSmallFolder(pathOf(folder));
        for (const name of names) yield prefix + name;
        // Where a name was found there is a store. Lookups depend on it: looking twice takes twice as long.
        if (names.length > 0) return;
      } else yield* namesInLargeFolder(pathOf(folder), prefix);
      await checkMiss(prefix);
    },

    async ensureDurable(name) {
      const path = pathOf(name);
      try {
        await makeDurable(path, durable);
        return true;
      } catch (error) {
        throwUnlessAbsent(error, `can't sync ${path}`);
        await checkMiss(name);
        return false;
      }
    },

    async remove(name) {
      const path = pathOf(name);
      try {
        await unlink(path);
      } catch (error) {
        throwUnlessAbsent(error, `can't remove ${path}`);
        await checkMiss(name);
        return false;
      }
      // A key's folder goes with its last entry.
      await syncWithout(dirname(path), await removeIfEmpty(dirname(path)));
      return true;
    },
  };
}

/** @returns whether the folder is gone */
async function removeIfEmpty(folder: string): Promise<boolean> {
  try {
    await rmdir(folder);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return true;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw storageError(error, `can't remove the folder ${folder}`);
  }
}

/** What was removed, and recorded as that, must not come back with the next loss of power. */
async function syncWithout(folder: string, isGone: boolean): Promise<void> {
  try {
    await syncFolder(isGone ? dirname(folder) : folder);
  } catch (error) {
    // Somebody else has removed the folder meanwhile.
    throwUnlessAbsent(error, `can't sync ${folder}`);
  }
}

/** The folder of a key: a handful of entries, looked at in one system call; none where there is no folder. */
async function namesInSmallFolder(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`);
    return [];
  }
}

/** The folder of all blobs or all keys: perhaps a million names, never held at once. */
async function* namesInLargeFolder(path: string, prefix: string): AsyncGenerator<string> {
  try {
    for await (const item of await opendir(path, { bufferSize: 512 })) {
      if (item.isDirectory()) {
        for (const name of await namesInSmallFolder(join(path, item.name)))
          yield `${prefix}${item.name}/${name}`;
      } else yield prefix + item.name;
    }
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`);
  }
}
