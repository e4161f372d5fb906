import type { Dirent } from 'node:fs';
import { lstat, opendir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { FolderItem, StoreUpkeep, HiddenObject } from '../cache/store-upkeep.ts';
import { unlinkIfThere } from './if-there.ts';
import { ownerFault, ownershipOf } from './ownership.ts';
import { createQuarantine } from './quarantine.ts';
import { readError, throwUnlessAbsent } from './storage-error.ts';
import {
  checkFolder,
  checkIsStillThere,
  leftoversIn,
  OWN_NAMES,
  removeLeftover,
  TEMPORARY,
} from './store-folder.ts';
import { putBack, takenName } from './taken-object.ts';

/** Upkeep of the store in the folder `root`. */
export function createStoreUpkeep(root: string): StoreUpkeep {
  const pathOf = (path: string): string => join(root, path);

  return {
    quarantine: createQuarantine(root),

    async *list(folder) {
      const path = pathOf(folder);
      try {
        for await (const item of await opendir(path, { bufferSize: 512 })) {
          yield { name: item.name, type: await typeOf(item, folder === '' ? path : undefined) };
        }
      } catch (error) {
        throwUnlessAbsent(error, `can't list ${path}`, readError);
        await checkIsStillThere(root, folder);
      }
    },

    async modified(folder) {
      const path = pathOf(folder);
      try {
        return (await stat(path)).mtimeMs;
      } catch (error) {
        throwUnlessAbsent(error, `can't look at ${path}`, readError);
        return undefined;
      }
    },

    async ownerFault(path) {
      try {
        const [stats, owner] = [await stat(pathOf(path)), await ownershipOf(root)];
        return ownerFault(stats, owner);
      } catch (error) {
        throwUnlessAbsent(error, `can't look at ${pathOf(path)}`, readError);
        return undefined;
      }
    },

    async *leftovers() {
      for await (const name of leftoversIn(root)) yield `${TEMPORARY}/${name}`;
    },

    removeLeftover: (path) => removeLeftover(root, path.slice(TEMPORARY.length + 1)),

    hide: (name) => hide(root, name),
  };
}

/** Links may join the folders of a store from several disks. @param parent the store's folder, for an item directly in it */
async function typeOf(item: Dirent, parent: string | undefined): Promise<FolderItem['type']> {
  if (item.isFile()) return 'file';
  if (item.isDirectory()) return 'folder';
  if (parent === undefined || !item.isSymbolicLink()) return 'other';
  const path = join(parent, item.name);
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'other';
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${path}`, readError);
    // A folder of the store on a disk that is not mounted is no stray: a repair would put it away.
    if (OWN_NAMES.has(item.name)) await checkFolder(path);
    return 'other';
  }
}

async function hide(root: string, name: string): Promise<HiddenObject | undefined> {
  const path = join(root, name);
  const taken = join(root, TEMPORARY, takenName(name));
  try {
    await rename(path, taken);
    const { size, mtimeMs } = await lstat(taken);
    return {
      size,
      modified: mtimeMs,
      putBack: () => putBack(root, taken, name),
      remove: () => unlinkIfThere(taken),
    };
  } catch (error) {
    throwUnlessAbsent(error, `can't move ${path}`);
    await checkIsStillThere(root);
    return undefined;
  }
}
