import { isDamage } from '../../cache/errors.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { prefixOf } from '../../cache/digest.ts';
import { blobName } from '../../cache/layout.ts';
import type { Store } from '../../cache/store.ts';
import type { HiddenObject } from '../../cache/store-upkeep.ts';
import type { GarbageBlob, GarbageEntry, GarbageSearch } from './garbage.ts';

/**
 * Milliseconds for which a blob is hidden before its removal. A client that saw the blob just before has written its
 * entry by then.
 */
const SETTLE_MS = 2000;
export const pauseToSettle = (): Promise<unknown> => sleep(SETTLE_MS);
/** Events that are recorded together. */
const BATCH = 64;

/** Removed objects of each kind. */
export interface Removed {
  readonly entries: readonly GarbageEntry[];
  readonly blobs: readonly GarbageBlob[];
  readonly leftovers: readonly string[];
  readonly records: readonly string[];
}

/**
 * Removes garbage, also while others write to the store: keeps blobs that an entry now names or that were rewritten.
 * @param settle waits while blobs are hidden and not yet removed
 * @throws CacheError `storage`
 */
export async function removeGarbage(
  store: Store,
  search: GarbageSearch,
  settle: () => Promise<unknown> = pauseToSettle,
): Promise<Removed> {
  const { garbage } = search;
  const entries = await removeEntries(store, garbage.entries);
  const { blobs } = await removeBlobs(store, garbage.blobs, { ...search, action: 'gc', settle });
  for (const path of garbage.leftovers) await store.upkeep.removeLeftover(path);
  for (const name of garbage.records) await store.storage.remove(name);
  return { entries, blobs, leftovers: garbage.leftovers, records: garbage.records };
}

async function removeEntries(
  { directory, log }: Store,
  entries: readonly GarbageEntry[],
): Promise<readonly GarbageEntry[]> {
  return inBatches(entries, async ({ key, entry, sha512, softwareUrl }) => {
    const isRemoved = await directory.remove(key, entry);
    if (isRemoved) await log.record({ action: 'gc', key, entry, sha512, softwareUrl, reason: 'superseded' });
    return isRemoved;
  });
}

/** The removed blobs, and whether all entries were readable: otherwise none was removed. */
export interface RemovedBlobs {
  readonly blobs: readonly GarbageBlob[];
  readonly isAllSeen: boolean;
}

export interface BlobRemoval extends Omit<GarbageSearch, 'garbage'> {
  /** Action in the log. */
  readonly action: 'gc' | 'remove';
  readonly settle: () => Promise<unknown>;
}

/** Removes those of the given blobs that no entry names. @throws CacheError `storage` */
export async function removeBlobs(
  store: Store,
  blobs: readonly GarbageBlob[],
  removal: BlobRemoval,
): Promise<RemovedBlobs> {
  const { referenced, youngest, action } = removal;
  if (blobs.length === 0) return { blobs: [], isAllSeen: true };
  if (!(await seeNewEntries(store, removal))) return { blobs: [], isAllSeen: false };
  const taken: TakenBlob[] = [];
  try {
    for (const blob of blobs) {
      if (!referenced.has(prefixOf(blob.sha512))) await take(blob, store, youngest, taken);
    }
    if (taken.length === 0) return { blobs: [], isAllSeen: true };
    await removal.settle();
    const isAllSeen = await seeNewEntries(store, removal);
    const all = taken.splice(0);
    const isNamed = ({ blob }: TakenBlob): boolean => !isAllSeen || referenced.has(prefixOf(blob.sha512));
    await putBack(all.filter(isNamed));
    const removed = await inBatches(
      all.filter((each) => !isNamed(each)),
      async ({ blob, object }) => {
        const isRemoved = await object.remove();
        if (isRemoved) await store.log.record({ action, ...blob, reason: 'no entry names it' });
        return isRemoved;
      },
    );
    return { blobs: removed.map(({ blob }) => blob), isAllSeen };
  } finally {
    // After a failure it is unknown whether they are garbage.
    await putBack(taken);
  }
}

/** Continues with the rest if one can't be put back. */
async function putBack(taken: readonly TakenBlob[]): Promise<void> {
  await Promise.all(taken.map(({ object }) => object.putBack()));
}

interface TakenBlob {
  readonly blob: GarbageBlob;
  readonly object: HiddenObject;
}

/** Hides a blob, but puts it back at once if it was rewritten since the search. */
async function take(
  blob: GarbageBlob,
  { upkeep }: Store,
  youngest: number,
  taken: TakenBlob[],
): Promise<void> {
  const object = await upkeep.hide(blobName(blob.sha512));
  if (object === undefined) return;
  if (object.modified > youngest) await object.putBack();
  else taken.push({ blob, object });
}

/**
 * Reads the entries added since the search, and notes the blobs that they name.
 * @returns false if an entry is unreadable, because it might name any blob
 */
export async function seeNewEntries(
  { directory }: Store,
  { seen, referenced }: Pick<GarbageSearch, 'seen' | 'referenced'>,
): Promise<boolean> {
  for await (const { key, digest } of directory.list()) {
    if (seen.has(prefixOf(digest))) continue;
    try {
      const entry = await directory.entry(key, digest);
      if (entry !== undefined) referenced.add(prefixOf(entry.sha512));
      seen.add(prefixOf(digest));
    } catch (error) {
      if (!isDamage(error)) throw error;
      return false;
    }
  }
  return true;
}

/** @returns the items that `remove` reports as removed, in their order */
async function inBatches<T>(
  items: readonly T[],
  remove: (item: T) => Promise<boolean>,
): Promise<readonly T[]> {
  const removed: T[] = [];
  for (let start = 0; start < items.length; start += BATCH) {
    const batch = items.slice(start, start + BATCH);
    const results = await Promise.all(batch.map(remove));
    for (const [index, item] of batch.entries()) if (results[index]) removed.push(item);
  }
  return removed;
}
