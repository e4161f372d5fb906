import { CacheError, StoreUnavailable } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import type { Source, UploadTarget } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import { createServerDestination, TargetAbsent, TargetFault } from './server-destination.ts';
import { createStoreDestination } from './store-destination.ts';
import { transferKey, type Destination, type TransferOptions, type TransferResult } from './transfer.ts';

export type SyncOptions = Omit<TransferOptions, 'select'>;

/** Result for one entry, or for a key that the source can't read or the target can't accept. */
export type SyncResult =
  | TransferResult
  | { readonly key: Key; readonly outcome: 'unreadable' | 'not-copied'; readonly reason: string };

/**
 * Copies all missing entries and blobs of a source to a store, key by key, and changes nothing else. It can be
 * interrupted at any moment.
 * @throws CacheError `storage`, `no-space`, `unavailable`: the store or the source failed
 */
export function syncToStore(source: Source, store: Store, options: SyncOptions): AsyncGenerator<SyncResult> {
  return syncTo(
    createStoreDestination(store, () => ({ action: 'sync' })),
    source,
    options,
    (error) => error instanceof StoreUnavailable && error.store === store.name,
  );
}

/**
 * Uploads all missing entries and blobs of a source to a running cache.
 * @throws CacheError `unavailable`, `unauthorized`, `forbidden`, `no-space`, `storage`
 */
export function syncToServer(
  source: Source,
  server: UploadTarget,
  options: SyncOptions,
): AsyncGenerator<SyncResult> {
  return syncTo(createServerDestination(server), source, options, (error) => error instanceof TargetFault);
}

/** One unreadable key says nothing about the others; so many in a row mean that the source has failed. */
const UNREADABLE_IN_A_ROW = 3;

async function* syncTo(
  destination: Destination,
  source: Source,
  options: SyncOptions,
  isOfTarget: (error: CacheError) => boolean,
): AsyncGenerator<SyncResult> {
  let unavailable = 0;
  for await (const key of source.keys()) {
    try {
      yield* transferKey(key, source, destination, options);
      unavailable = 0;
    } catch (error) {
      if (!(error instanceof CacheError) || error instanceof TargetAbsent) throw error;
      // A cache answers 500 for a key with one bad entry, which looks like a worse failure.
      if (error.code === 'unavailable') unavailable++;
      else if (error.code !== 'damaged' && error.code !== 'incomplete') throw error;
      if (unavailable >= UNREADABLE_IN_A_ROW) throw error;
      const outcome = isOfTarget(error) ? 'not-copied' : 'unreadable';
      yield { key, outcome, reason: error.message };
    }
  }
}
