import { randomBytes } from 'node:crypto';
import { link, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { systemCode } from '../cache/errors.ts';
import type { ObjectWriter } from '../cache/object-storage.ts';
import { makeDurable, type DurableNames } from './durable-names.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { lstatIfThere } from './if-there.ts';
import { adoptFile, ownershipOf } from './ownership.ts';
import { storageError, throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere, TEMPORARY } from './store-folder.ts';
import { ownerTag } from './temporary-name.ts';
import type { Room, RoomShare } from './upload-room.ts';

export interface FileWriterOptions {
  /** Bytes, if known. */
  readonly size: number | undefined;
  /** The client that uploads the object. */
  readonly holder: string | undefined;
  /** Shared by the writers of a store. */
  readonly room: Room;
  /** The path for an object's name. */
  readonly pathOf: (name: string) => string;
  /** Shared by all operations on a store. */
  readonly durable: DurableNames;
  /** Called with the reason why the store's owner can't read the written file. */
  readonly onOwnerFault?: ((fault: string) => void) | undefined;
}

/** Begins an object in the store's folder of temporary files. @throws CacheError `no-space`, `storage` */
export async function createFileWriter(
  root: string,
  { size, holder, room, pathOf, durable, onOwnerFault }: FileWriterOptions,
): Promise<ObjectWriter> {
  const path = join(root, TEMPORARY, `${ownerTag()}.${randomBytes(9).toString('hex')}`);
  let share: RoomShare | undefined;
  let file: FileHandle;
  try {
    share = await room.open(size, holder);
    file = await createTemporary(root, path);
    await giveToOwner(root, path, file, onOwnerFault);
  } catch (error) {
    share?.close();
    throw error;
  }
  let state: 'open' | 'committed' | 'aborted' = 'open';
  let closed = false;
  let position = 0;
  const { reserve, wrote, close: leaveRoom } = share;

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    leaveRoom();
    await file.close();
  };

  /** @returns whether the object got its name */
  const finish = async (name: string, move: Move): Promise<boolean> => {
    const target = pathOf(name);
    try {
      await file.sync();
      await close();
      if (!(await moveInto(root, path, target, move))) return false;
      await makeDurable(target, durable, { isSynced: true });
      state = 'committed';
      return true;
    } catch (error) {
      throw storageError(error, `can't write ${target}`);
    }
  };

  return {
    async write(chunks) {
      await reserve(chunks.reduce((sum, { byteLength }) => sum + byteLength, 0));
      try {
        for (let left = withoutFirst(chunks, 0); left.length > 0;) {
          const { bytesWritten } = await file.writev(left, position);
          position += bytesWritten;
          wrote(bytesWritten);
          left = withoutFirst(left, bytesWritten);
        }
      } catch (error) {
        throw storageError(error, `can't write ${path}`);
      }
    },
    async commit(name) {
      await finish(name, replace);
    },
    commitNew: (name) => finish(name, moveUnlessThere),
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

/** The chunks without their first `count` bytes; skips empty chunks. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  const left: Uint8Array[] = [];
  let skipped = 0;
  for (const chunk of chunks) {
    const start = Math.min(count - skipped, chunk.length);
    skipped += start;
    if (start < chunk.length) left.push(chunk.subarray(start));
  }
  return left;
}

/** Gives a file another path. @returns whether it has it */
type Move = (path: string, target: string) => Promise<boolean>;

const replace: Move = async (path, target) => {
  await rename(path, target);
  return true;
};

/** A rename would replace a file that another writer has put there. */
const moveUnlessThere: Move = async (path, target) => {
  try {
    await link(path, target);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EEXIST') return false;
    if (code === 'ENOENT') throw error;
    // FAT has no links.
    return (await lstatIfThere(target)) === undefined && replace(path, target);
  }
  await unlink(path);
  return true;
};

/** Makes missing folders, then moves. */
async function moveInto(root: string, path: string, target: string, move: Move): Promise<boolean> {
  const folder = dirname(target);
  // A process that removes the last object of a folder also removes the folder, sometimes between these two steps.
  for (let attempt = 0; ; attempt++) {
    // In an empty mount point every folder seems to be missing.
    if (folder !== root) await checkIsStillThere(root, relative(root, target));
    try {
      await makeFoldersBelow(root, folder);
      return await move(path, target);
    } catch (error) {
      if (systemCode(error) === 'ENOENT' && attempt < 10) continue;
      throw error;
    }
  }
}

async function giveToOwner(
  root: string,
  path: string,
  file: FileHandle,
  onFault: FileWriterOptions['onOwnerFault'],
): Promise<void> {
  try {
    const fault = await adoptFile(file, await ownershipOf(root), 0o444);
    if (fault !== undefined) onFault?.(fault);
  } catch (error) {
    await file.close();
    await unlink(path).catch(() => undefined); // Empty: the next process to write to the store removes it.
    throw storageError(error, `can't write ${path}`);
  }
}

async function createTemporary(root: string, path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o444);
  } catch (error) {
    throwUnlessAbsent(error, `can't write ${path}`);
  }
  try {
    await checkIsStillThere(root, TEMPORARY);
    await makeFoldersBelow(root, dirname(path));
    return await open(path, 'wx', 0o444);
  } catch (error) {
    throw storageError(error, `can't write ${path}`);
  }
}
