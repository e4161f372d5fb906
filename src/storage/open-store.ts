import { isBucketUrl } from '../cache/bucket-url.ts';
import { isDamage, NewerFormat, type CacheError } from '../cache/errors.ts';
import { createHashThreads } from '../cache/hash-threads.ts';
import { STORE_FILE, STORE_FORMAT } from '../cache/layout.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { writeSmallObject } from '../cache/small-object.ts';
import { createStore, type LocalCacheCounts, type Store, type StoreOptions } from '../cache/store.ts';
import type { FilesystemOptions } from './filesystem.ts';
import { createFolderPlace } from './folder-place.ts';
import { localActor } from './local-actor.ts';
import { createLocalCache } from './local-cache.ts';
import type { LocalFolderOptions } from './local-folder.ts';
import type { S3Access } from './s3-bucket.ts';
import { createSplitStorage, type SplitStorage } from './split-storage.ts';
import { createSplitUpkeep } from './split-upkeep.ts';
import { storageError } from './storage-error.ts';
import { DamagedMark, NoStore } from './store-folder.ts';
import type { StorePlace } from './store-place.ts';

export interface OpenStoreOptions extends FilesystemOptions, Partial<Omit<StoreOptions, 'threads'>> {
  /**
   * `write` also removes leftovers of killed writers. `upkeep` changes nothing when it opens the store, and reports a
   * damaged mark as `Store.markFault`.
   */
  readonly mode: 'read' | 'write' | 'upkeep';
  /** If the store is missing, `write` makes it and `read` opens an empty store; by default both fail. */
  readonly make?: boolean;
  /** How to reach the object store of a bucket. */
  readonly access?: S3Access | undefined;
  /** A folder through which blobs are read; it keeps as much room on its disk as the store does on its own. */
  readonly localCache?: Omit<LocalFolderOptions, 'minFreeSpace'> | undefined;
}

/**
 * Opens the store at a location; no other module knows what a location is.
 * @param location path of its folder, or `s3://BUCKET/PREFIX`
 * @throws NoStore; CacheError `storage`, `unavailable`; `damaged`: its mark is damaged
 */
export async function openStore(
  location: string,
  {
    mode,
    make = false,
    minFreeSpace = 0,
    onOwnerFault,
    access,
    localCache,
    who = localActor(),
    ...options
  }: OpenStoreOptions,
): Promise<Store> {
  const place = await placeAt(location, { minFreeSpace, onOwnerFault, access });
  const threads = createHashThreads();
  let isMade = false;
  let markFault: CacheError | undefined;
  try {
    isMade = await hasMark(place);
  } catch (error) {
    if (mode === 'upkeep' && isDamage(error)) {
      await place.checkIsStore();
      markFault = error;
    } else if (!make || !(error instanceof NoStore)) throw error;
    else if (mode === 'write') isMade = await makeStore(location, { access });
    else {
      await place.isMarked();
      return open(createSplitStorage(emptyStorage(error)));
    }
  }
  if (mode === 'write') {
    // A store assembled by copying has no mark yet.
    if (!isMade) await makeStore(location, { inFolder: true, access });
    await place.removeLeftovers();
  }
  const cached =
    localCache && (await createLocalCache(place.storage, { ...localCache, minFreeSpace }, threads));
  const limits = mode === 'read' ? undefined : await place.splitLimits();
  return open(createSplitStorage(cached ?? place.storage, limits), cached?.counts);

  function open(storage: SplitStorage, counts?: LocalCacheCounts): Store {
    const upkeep = createSplitUpkeep(place.upkeep, storage);
    // A store that is missing has no records either.
    const records = mode === 'read' ? storage : place.records;
    return createStore(
      { ...place, storage, records, upkeep, markFault, localCache: counts },
      { ...options, who, threads },
    );
  }
}

interface PlaceOptions extends FilesystemOptions {
  readonly access?: S3Access | undefined;
  readonly inFolder?: boolean;
}

async function placeAt(
  location: string,
  { access = {}, inFolder = false, ...options }: PlaceOptions,
): Promise<StorePlace> {
  if (!isBucketUrl(location)) return createFolderPlace(location, options, inFolder);
  // The client of object stores is as large as the rest of the program.
  const { createS3Place } = await import('./s3-place.ts');
  return createS3Place(location, access);
}

/**
 * Whether a store has a mark; it may lack one, or its maker may have written it meanwhile.
 * @throws NoStore; CacheError `storage`: its format is newer; `damaged`: its mark is damaged
 */
async function hasMark(place: StorePlace): Promise<boolean> {
  let format = await place.readFormat();
  if (format === undefined) {
    try {
      await place.checkIsStore();
      return false;
    } catch (error) {
      format = await place.readFormat();
      if (format === undefined) throw error;
    }
  }
  checkFormat(place, format);
  return true;
}

function checkFormat({ name }: StorePlace, format: unknown): void {
  if (format === STORE_FORMAT) return;
  if (format === undefined) throw new DamagedMark(`${name}/${STORE_FILE}`, 'it is a link that leads nowhere');
  throw new NewerFormat('storage', { where: `the store ${name}`, format, known: STORE_FORMAT });
}

/**
 * Makes an empty store at a location; leaves an existing store as it is.
 * @param inFolder whether its folder must exist, such as a mounted medium; a bucket must exist always
 * @returns whether it made the store
 * @throws CacheError `storage`, `unavailable`, `no-space`
 */
export async function makeStore(
  location: string,
  options: Pick<PlaceOptions, 'inFolder' | 'access'> = {},
): Promise<boolean> {
  try {
    // A full disk can be served, so the mark may use the reserve.
    const place = await placeAt(location, options);
    if (await place.isMarked()) {
      checkFormat(place, await place.readFormat());
      return false;
    }
    await place.prepare();
    await writeSmallObject(place.storage, STORE_FILE, JSON.stringify({ format: STORE_FORMAT }));
    return true;
  } catch (error) {
    throw storageError(error, `can't make the store ${location}`);
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
