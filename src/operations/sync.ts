import { CacheError } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import type { Source, UploadTarget } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import { createServerDestination, TargetAbsent, TargetFault } from './server-destination.ts';
import { createStoreDestination } from './store-destination.ts';
import { transferKey, type Destination, type TransferOptions, type TransferResult } from './transfer.ts';

export type SyncOptions = Omit<TransferOptions, 'select'>;

/** What became of one entry, or of a key whose entries the source can't read, or the target can't take. */
export type SyncResult =
  | TransferResult
  | { readonly key: Key; readonly outcome: 'unreadable' | 'not-copied'; readonly reason: string };

/**
 * Copies to a store all that it lacks of a source, key by key, and changes nothing else. May be interrupted at any moment.
 * @throws CacheError `storage`, `no-space`, `unavailable`: the store or the source failed
 */
export function syncToStore(source: Source, store: Store, options: SyncOptions): AsyncGenerator<SyncResult> {
  return syncTo(
    createStoreDestination(store, () => ({ action: 'sync' })),
    source,
    options,
  );
}

/**
 * Uploads to a running cache all that it lacks of a source.
 * @throws CacheError `unavailable`, `unauthorized`, `forbidden`, `no-space`, `storage`
 */
export function syncToServer(
  source: Source,
  server: UploadTarget,
  options: SyncOptions,
): AsyncGenerator<SyncResult> {
  return syncTo(createServerDestination(server), source, options);
}

/** What can't be read of one key says nothing about the others; what can't be read of so many says that all is lost. */
const UNREADABLE_IN_A_ROW = 3;

async function* syncTo(
  destination: Destination,
  source: Source,
  options: SyncOptions,
): AsyncGenerator<SyncResult> {
  let unavailable = 0;
  for await (const key of source.keys()) {
    try {
      yield* transferKey(key, source, destination, options);
      unavailable = 0;
    } catch (error) {
      if (!(error instanceof CacheError) || error instanceof TargetAbsent) throw error;
      // One bad entry of another cache is an answer 500 to its key, which can't be told from worse.
      if (error.code === 'unavailable') unavailable++;
      else if (error.code !== 'damaged' && error.code !== 'incomplete') throw error;
      if (unavailable >= UNREADABLE_IN_A_ROW) throw error;
      const outcome = error instanceof TargetFault ? 'not-copied' : 'unreadable';
      yield { key, outcome, reason: error.message };
    }
  }
}
