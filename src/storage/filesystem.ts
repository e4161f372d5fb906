import { lstat, opendir, readdir, rmdir, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { createDurableNames, makeDurable } from './durable-names.ts';
import { createFileWriter } from './file-writer.ts';
import { notAFile, openFile } from './open-file.ts';
import { readError, storageError, throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere } from './store-folder.ts';
import { syncFolder } from './sync-folder.ts';
import { createRoom } from './upload-room.ts';

export interface FilesystemOptions {
  /** Bytes that writers leave free on the disk. */
  readonly minFreeSpace?: number | undefined;
  /** Called with the reason why the store's owner, such as a server, can't read a written file. */
  readonly onOwnerFault?: ((fault: string) => void) | undefined;
}

/**
 * Keeps objects as files below `root`, read-only, because nothing in a store is ever modified.
 *
 * A file is written under `tmp/`, fsynced and renamed; `commit` resolves after its folder is fsynced.
 */
export function createFilesystemStorage(
  root: string,
  { minFreeSpace = 0, onOwnerFault }: FilesystemOptions = {},
): ObjectStorage {
  const pathOf = (name: string): string => join(root, name);
  const durable = createDurableNames();
  const room = createRoom(root, minFreeSpace);
  const checkMiss = (name: string): Promise<void> => checkIsStillThere(root, name);

  return {
    async stat(name) {
      const path = pathOf(name);
      try {
        const stats = await lstat(path);
        if (stats.isFile()) return { size: stats.size, modified: stats.mtimeMs };
      } catch (error) {
        throwUnlessAbsent(error, `can't look at ${path}`, readError);
        await checkMiss(name);
        return undefined;
      }
      throw notAFile(path);
    },

    async open(name) {
      const file = await openFile(pathOf(name));
      if (file === undefined) await checkMiss(name);
      return file;
    },

    create: (size, holder) => createFileWriter(root, { size, holder, room, pathOf, durable, onOwnerFault }),

    async *list(prefix) {
      const folder = prefix.slice(0, -1);
      if (folder.includes('/')) {
        const names = await namesInSmallFolder(pathOf(folder));
        for (const name of names) yield prefix + name;
        // A name proves that the store is there; a second check would double the time of a lookup.
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
      // Removing the last entry of a key also removes its folder.
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

/** A removed object, recorded as removed, must not come back after a loss of power. */
async function syncWithout(folder: string, isGone: boolean): Promise<void> {
  try {
    await syncFolder(isGone ? dirname(folder) : folder);
  } catch (error) {
    // Another process has removed the folder meanwhile.
    throwUnlessAbsent(error, `can't sync ${folder}`);
  }
}

/** The folder of a key holds a few entries, listed in one system call; empty if the folder is missing. */
async function namesInSmallFolder(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`, readError);
    return [];
  }
}

/**
 * The folder of all blobs or keys may hold a million names, too many to keep in memory. A folder in it that can't be listed
 * hides no other: its fault comes at the end.
 */
async function* namesInLargeFolder(path: string, prefix: string): AsyncGenerator<string> {
  let fault: CacheError | undefined;
  const keepFault = (error: unknown): readonly string[] => {
    if (!(error instanceof CacheError)) throw error;
    fault ??= error;
    return [];
  };
  try {
    for await (const item of await opendir(path, { bufferSize: 512 })) {
      if (item.isDirectory()) {
        const names = await namesInSmallFolder(join(path, item.name)).catch(keepFault);
        for (const name of names) yield `${prefix}${item.name}/${name}`;
      } else yield prefix + item.name;
    }
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${path}`, readError);
  }
  if (fault !== undefined) throw fault;
}
