import { randomBytes } from 'node:crypto';
import type { Dirent } from 'node:fs';
import { lstat, opendir, rename, rm, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../cache/errors.ts';
import type { FolderItem, StoreUpkeep, TakenObject } from '../cache/store-upkeep.ts';
import { createQuarantine } from './quarantine.ts';
import { storageError, throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere, leftoversIn, TEMPORARY } from './store-folder.ts';
import { syncFolder } from './sync-folder.ts';
import { ownerTag } from './temporary-name.ts';

/** Looks after the store whose folder is `root`. */
export function createStoreUpkeep(root: string): StoreUpkeep {
  const pathOf = (path: string): string => join(root, ...path.split('/'));

  return {
    quarantine: createQuarantine(root),

    async *list(folder) {
      const path = pathOf(folder);
      try {
        for await (const item of await opendir(path, { bufferSize: 512 })) {
          yield { name: item.name, type: await typeOf(item, folder === '' ? path : undefined) };
        }
      } catch (error) {
        throwUnlessAbsent(error, `can't list ${path}`);
        await checkIsStillThere(root, folder);
      }
    },

    async *leftovers() {
      for await (const { name } of leftoversIn(root)) yield `${TEMPORARY}/${name}`;
    },

    async removeLeftover(path) {
      try {
        await rm(pathOf(path), { recursive: true, force: true });
      } catch (error) {
        throw storageError(error, `can't remove ${pathOf(path)}`);
      }
    },

    takeOut: (name) => takeOut(root, pathOf(name)),
  };
}

/** Disks are often joined to a store by a link in the place of one of its folders. @param parent of such folders */
async function typeOf(item: Dirent, parent: string | undefined): Promise<FolderItem['type']> {
  if (item.isFile()) return 'file';
  if (item.isDirectory()) return 'folder';
  if (parent === undefined || !item.isSymbolicLink()) return 'other';
  const target = await stat(join(parent, item.name)).catch(() => undefined);
  return target?.isDirectory() ? 'folder' : 'other';
}

async function takeOut(root: string, path: string): Promise<TakenObject | undefined> {
  const taken = join(root, TEMPORARY, `${ownerTag()}.${randomBytes(9).toString('hex')}`);
  try {
    await rename(path, taken);
    const { size, mtimeMs } = await lstat(taken);
    return {
      size,
      modified: mtimeMs,
      putBack: () => putBack(taken, path),
      remove: () => unlink(taken),
    };
  } catch (error) {
    throwUnlessAbsent(error, `can't move ${path}`);
    await checkIsStillThere(root);
    return undefined;
  }
}

async function putBack(taken: string, path: string): Promise<void> {
  try {
    if (await isThere(path)) await unlink(taken);
    else await rename(taken, path);
    await syncFolder(dirname(path));
  } catch (error) {
    throw storageError(error, `can't move ${taken} back to ${path}`);
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return false;
  }
}
