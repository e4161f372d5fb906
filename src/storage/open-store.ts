import { join } from 'node:path';
import { CacheError, isDamage } from '../cache/errors.ts';
import { createHashThreads } from '../cache/hash-threads.ts';
import { STORE_FILE, STORE_FORMAT } from '../cache/layout.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { writeSmallObject } from '../cache/small-object.ts';
import { createStore, type Store, type StoreOptions } from '../cache/store.ts';
import { createFilesystemStorage, type FilesystemOptions } from './filesystem.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { checkRoom } from './free-space.ts';
import { localActor } from './local-actor.ts';
import { makeFolders } from './ownership.ts';
import { storageError } from './storage-error.ts';
import {
  checkIsStore,
  DamagedMark,
  isMarked,
  NoStore,
  readFormat,
  removeLeftovers,
  TEMPORARY,
} from './store-folder.ts';
import { createStoreUpkeep } from './store-upkeep.ts';

export interface OpenStoreOptions extends FilesystemOptions, Partial<Omit<StoreOptions, 'threads'>> {
  /**
   * `write` also removes what killed writers left. `upkeep` changes nothing by opening, and a damaged mark becomes
   * `Store.markFault`.
   */
  readonly mode: 'read' | 'write' | 'upkeep';
  /** Where there is no store: `write` makes one, `read` takes it for empty. Without, it is refused. */
  readonly make?: boolean;
}

/**
 * Opens the store at a location; nothing else knows what a location is.
 * @param location path of its folder
 * @throws NoStore; CacheError `storage`; `damaged`: its mark is
 */
export async function openStore(
  location: string,
  { mode, make = false, minFreeSpace = 0, onOwnerFault, who = localActor(), ...options }: OpenStoreOptions,
): Promise<Store> {
  let storage = createFilesystemStorage(location, { minFreeSpace, onOwnerFault });
  const markFault = await checkStore(location).catch(async (error: unknown) => {
    if (mode === 'upkeep' && isDamage(error)) {
      await checkIsStore(location);
      return error;
    }
    if (!make || !(error instanceof NoStore)) throw error;
    if (mode === 'write') await makeStore(location);
    else storage = emptyStorage(error);
    return undefined;
  });
  // A store that was put together by copying has no mark yet.
  if (mode === 'write') await makeStore(location, { inFolder: true });
  if (mode === 'write') await removeLeftovers(location);
  const upkeep = createStoreUpkeep(location);
  const checkStoreRoom = (bytes: number): Promise<void> => checkRoom(location, bytes, minFreeSpace);
  return createStore(
    { name: location, storage, upkeep, markFault, checkRoom: checkStoreRoom },
    { ...options, who, threads: createHashThreads() },
  );
}

/** @throws NoStore; CacheError `storage`: its format is of the future; `damaged`: its mark is */
async function checkStore(root: string): Promise<undefined> {
  const format = await readFormat(root);
  if (format !== undefined) checkFormat(root, format);
  else await checkUnmarked(root);
  return undefined;
}

/** A store is one without `store.json`, too; and its maker may have written it since. */
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

/**
 * Makes an empty store in a folder; a store that is there stays as it is.
 * @param inFolder whether the folder must be there, as that of a mounted medium
 * @returns whether it was made
 * @throws CacheError `storage`, `no-space`
 */
export async function makeStore(root: string, { inFolder = false } = {}): Promise<boolean> {
  try {
    if (!inFolder) await makeFolders(root);
    if (await isMarked(root)) {
      checkFormat(root, await readFormat(root));
      return false;
    }
    await makeFoldersBelow(root, join(root, TEMPORARY));
    // A full disk can be served, too: the reserve doesn't count for the mark.
    const storage = createFilesystemStorage(root);
    await writeSmallObject(storage, STORE_FILE, JSON.stringify({ format: STORE_FORMAT }));
    return true;
  } catch (error) {
    throw storageError(error, `can't make the store ${root}`);
  }
}

/** The objects of a store that is not made: there are none. */
function emptyStorage(why: NoStore): ObjectStorage {
  return {
    stat: () => Promise.resolve(undefined),
    open: () => Promise.resolve(undefined),
    create: () => Promise.reject(why),
    async *list() {
      // None.
    },
    ensureDurable: () => Promise.resolve(false),
    remove: () => Promise.resolve(false),
  };
}
