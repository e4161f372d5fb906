import { join } from 'node:path';
import { limitsOf } from './file-system-limits.ts';
import { createFilesystemStorage, type FilesystemOptions } from './filesystem.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { checkRoom, freeSpace } from './free-space.ts';
import { makeFolders } from './ownership.ts';
import { checkIsStore, isMarked, readFormat, removeLeftovers, TEMPORARY } from './store-folder.ts';
import type { StorePlace } from './store-place.ts';
import { createStoreUpkeep } from './store-upkeep.ts';

/**
 * A folder as the place of a store.
 * @param isThere whether it must exist when the store is made, such as a mounted medium
 */
export function createFolderPlace(root: string, options: FilesystemOptions, isThere: boolean): StorePlace {
  const { minFreeSpace = 0 } = options;
  return {
    name: root,
    storage: createFilesystemStorage(root, options),
    records: createFilesystemStorage(root, { ...options, minFreeSpace: 0 }),
    upkeep: createStoreUpkeep(root),
    readFormat: () => readFormat(root),
    checkIsStore: () => checkIsStore(root),
    isMarked: () => isMarked(root),
    async prepare() {
      if (!isThere) await makeFolders(root);
      await makeFoldersBelow(root, join(root, TEMPORARY));
    },
    removeLeftovers: () => removeLeftovers(root),
    splitLimits: async () => (await limitsOf(root)).split,
    checkRoom: (bytes) => checkRoom(root, bytes, minFreeSpace),
    room: async () => Math.max(0, (await freeSpace(root)) - minFreeSpace),
  };
}
