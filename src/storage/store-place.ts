import type { StoreLocation } from '../cache/store.ts';
import type { SplitLimits } from './split-storage.ts';

/** The kind of a store's location: a folder, or a bucket. */
export interface StorePlace extends Pick<
  StoreLocation,
  'name' | 'storage' | 'records' | 'upkeep' | 'checkRoom' | 'room'
> {
  /** The format in its mark `store.json`; undefined if there is none. @throws DamagedMark; CacheError `storage` */
  readFormat(): Promise<unknown>;
  /** Accepts a store without a mark, assembled by copying. @throws NoStore */
  checkIsStore(): Promise<void>;
  /** Whether it has the mark. Refuses an unmarked place with other things in it. @throws CacheError `storage` */
  isMarked(): Promise<boolean>;
  /** Makes what the mark is written into. */
  prepare(): Promise<void>;
  /** Removes leftovers of killed writers. */
  removeLeftovers(): Promise<void>;
  /** How large blobs are split; undefined if none can be too large. */
  splitLimits(): Promise<SplitLimits | undefined>;
}
