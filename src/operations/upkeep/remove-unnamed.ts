import { prefixOf } from '../../cache/digest.ts';
import type { Store } from '../../cache/store.ts';
import { pauseToSettle, removeBlobs, seeNewEntries, type RemovedBlobs } from './collect-garbage.ts';
import type { GarbageBlob } from './garbage.ts';
import type { RemovedEntry } from './remove-release.ts';

export interface UnnamedOptions {
  /** Start of the removal of entries, milliseconds since 1970; blobs written later are kept. */
  readonly since: number;
  /** Whether nothing is removed and the entries still exist. */
  readonly dryRun: boolean;
  readonly settle?: () => Promise<unknown>;
}

/**
 * Removes the blobs that only removed entries named; like `removeGarbage`, also while others write to the store.
 * Reads all entries.
 * @throws CacheError `storage`
 */
export async function removeUnnamed(
  store: Store,
  entries: readonly RemovedEntry[],
  { since, dryRun, settle = pauseToSettle }: UnnamedOptions,
): Promise<RemovedBlobs> {
  const digests = new Set(entries.map(({ sha512 }) => sha512).filter((sha512) => sha512 !== undefined));
  const blobs: GarbageBlob[] = [];
  for (const sha512 of digests) {
    const stat = await store.blobs.stat(sha512);
    if (stat !== undefined) blobs.push({ sha512, size: stat.size });
  }
  const found = { referenced: new Set<number>(), seen: new Set<number>() };
  if (!dryRun) return removeBlobs(store, blobs, { ...found, youngest: since, action: 'remove', settle });
  for (const { entry } of entries) found.seen.add(prefixOf(entry));
  const isAllSeen = await seeNewEntries(store, found);
  return {
    blobs: isAllSeen ? blobs.filter(({ sha512 }) => !found.referenced.has(prefixOf(sha512))) : [],
    isAllSeen,
  };
}
