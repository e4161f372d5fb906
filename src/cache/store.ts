import { createBlobs, type Blobs } from './blobs.ts';
import { createDirectory, type Directory, type DirectoryOptions } from './directory.ts';
import type { CacheError } from './errors.ts';
import type { HashThreads } from './hash-threads.ts';
import type { ObjectStorage } from './object-storage.ts';
import { createStoreLog, type StoreLog, type StoreLogOptions } from './store-log.ts';
import type { StoreUpkeep } from './store-upkeep.ts';

/** Keeps blobs and entries. Only `storage/` knows the kind of its location. */
export interface Store {
  /** Its location, for messages. */
  readonly name: string;
  readonly storage: ObjectStorage;
  /**
   * The same objects, for what the store keeps about itself: their writers may use the reserve, because a full store must
   * be looked after, too.
   */
  readonly records: ObjectStorage;
  readonly blobs: Blobs;
  readonly directory: Directory;
  readonly upkeep: StoreUpkeep;
  readonly log: StoreLog;
  /** The damage of its mark `store.json`. Only a store opened for upkeep can have a damaged mark. */
  readonly markFault: CacheError | undefined;
  /** @throws CacheError `no-space`: so many bytes don't fit beside the reserve */
  checkRoom(bytes: number): Promise<void>;
  /** Bytes that fit beside the reserve, 0 or more; a location without limit omits it. */
  room?(): Promise<number>;
  /** What the local cache in front of it did, if there is one. */
  readonly localCache?: LocalCacheCounts | undefined;
}

/** How often blobs were opened since the start. */
export interface LocalCacheCounts {
  /** In the local cache. */
  readonly hits: number;
  /** In the store behind it. */
  readonly misses: number;
}

/** The parts of a store that depend on where it is kept. */
export interface StoreLocation extends Omit<Store, 'records' | 'blobs' | 'directory' | 'log'> {
  /** Default: `storage`, for a location without a reserve. */
  readonly records?: ObjectStorage | undefined;
}

export interface StoreOptions extends StoreLogOptions, Pick<DirectoryOptions, 'onDamage'> {
  /** Hash large blobs. */
  readonly threads?: HashThreads | undefined;
}

export function createStore(location: StoreLocation, { threads, onDamage, ...log }: StoreOptions): Store {
  const { storage, records = storage } = location;
  return {
    ...location,
    records,
    blobs: createBlobs(storage, threads),
    directory: createDirectory(storage, onDamage === undefined ? {} : { onDamage }),
    log: createStoreLog(records, log),
  };
}

/** The same store over another object storage. */
export function withStorage(store: Store, storage: ObjectStorage): Store {
  return { ...store, storage, blobs: createBlobs(storage), directory: createDirectory(storage) };
}
