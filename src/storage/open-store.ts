import { join } from 'node:path';
import { CacheError, isDamage } from '../cache/errors.ts';
import { createHashThreads } from '../cache/hash-threads.ts';
import { STORE_FILE, STORE_FORMAT } from '../cache/layout.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { writeSmallObject } from '../cache/small-object.ts';
import { createStore, type Store, type StoreOptions } from '../cache/store.ts';
import { limitsOf } from './file-system-limits.ts';
import { createFilesystemStorage, type FilesystemOptions } from './filesystem.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { checkRoom, freeSpace } from './free-space.ts';
import { localActor } from './local-actor.ts';
import { makeFolders } from './ownership.ts';
import { createSplitStorage, type SplitStorage } from './split-storage.ts';
import { createSplitUpkeep } from './split-upkeep.ts';
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
   * `write` also removes leftovers of killed writers. `upkeep` changes nothing when it opens the store, and reports a
   * damaged mark as `Store.markFault`.
   */
  readonly mode: 'read' | 'write' | 'upkeep';
  /** If the store is missing, `write` makes it and `read` opens an empty store; by default both fail. */
  readonly make?: boolean;
}

/**
 * Opens the store at a location; no other module knows what a location is.
 * @param location path of its folder
 * @throws NoStore; CacheError `storage`; `damaged`: its mark is damaged
 */
export async function openStore(
  location: string,
  { mode, make = false, minFreeSpace = 0, onOwnerFault, who = localActor(), ...options }: OpenStoreOptions,
): Promise<Store> {
  const files = createFilesystemStorage(location, { minFreeSpace, onOwnerFault });
  let isMade = false;
  let markFault: CacheError | undefined;
  try {
    isMade = await hasMark(location);
  } catch (error) {
    if (mode === 'upkeep' && isDamage(error)) {
      await checkIsStore(location);
      markFault = error;
    } else if (!make || !(error instanceof NoStore)) throw error;
    else if (mode === 'write') isMade = await makeStore(location);
    else {
      await isMarked(location);
      return open(createSplitStorage(emptyStorage(error)));
    }
  }
  if (mode === 'write') {
    // A store assembled by copying has no mark yet.
    if (!isMade) await makeStore(location, { inFolder: true });
    await removeLeftovers(location);
  }
  return open(createSplitStorage(files, mode === 'read' ? undefined : (await limitsOf(location)).split));

  function open(storage: SplitStorage): Store {
    const upkeep = createSplitUpkeep(createStoreUpkeep(location), storage);
    const checkStoreRoom = (bytes: number): Promise<void> => checkRoom(location, bytes, minFreeSpace);
    const room = async (): Promise<number> => Math.max(0, (await freeSpace(location)) - minFreeSpace);
    return createStore(
      { name: location, storage, upkeep, markFault, checkRoom: checkStoreRoom, room },
      { ...options, who, threads: createHashThreads() },
    );
  }
}

/**
 * Whether a store has a mark; it may lack one, or its maker may have written it meanwhile.
 * @throws NoStore; CacheError `storage`: its format is newer; `damaged`: its mark is damaged
 */
async function hasMark(root: string): Promise<boolean> {
  let format = await readFormat(root);
  if (format === undefined) {
    try {
      await checkIsStore(root);
      return false;
    } catch (error) {
      format = await readFormat(root);
      if (format === undefined) throw error;
    }
  }
  checkFormat(root, format);
  return true;
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
 * Makes an empty store in a folder; leaves an existing store as it is.
 * @param inFolder whether the folder must exist, such as a mounted medium
 * @returns whether it made the store
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
    // A full disk can be served, so the mark may use the reserve.
    const storage = createFilesystemStorage(root);
    await writeSmallObject(storage, STORE_FILE, JSON.stringify({ format: STORE_FORMAT }));
    return true;
  } catch (error) {
    throw storageError(error, `can't make the store ${root}`);
  }
}

/** The objects of a missing store. */
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
