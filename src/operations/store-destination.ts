import type { Digest } from '../cache/digest.ts';
import { noneIfDamaged } from '../cache/directory.ts';
import type { VerifiedEntry } from '../cache/entry.ts';
import { CacheError } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import type { Source, SourceEntry } from '../cache/source.ts';
import type { LogEvent } from '../cache/store-log.ts';
import type { Store } from '../cache/store.ts';
import { createPlacement, type Placement } from './entry-order.ts';
import { missingBlob, type BlobName, type Destination, type KeyTransfer } from './transfer.ts';

type CopyEvent = Pick<LogEvent, 'action' | 'reason' | 'target'>;

/**
 * A store as a destination. An entry never overtakes its predecessor in the source, nor a later entry of its own
 * signer, whatever times the source states (`createPlacement`).
 * @param eventOf log fields of a copied entry, in addition to the entry itself
 */
export function createStoreDestination(
  store: Store,
  eventOf: (entry: SourceEntry) => CopyEvent,
): Destination {
  return {
    async open(key, transfer) {
      const { source, listed, trusted, onProgress } = transfer;
      const there = await store.directory.entries(key).catch(noneIfDamaged);
      const present = new Map(there.map(({ digest, received }) => [digest, received]));
      const told = timesOf(listed, present);
      const placement = createPlacement(there, trusted);
      return {
        has: ({ digest }) => present.has(digest),
        overtakes: () => false,
        hasBlob: (entry) => hasWholeBlob(entry, source, store),
        copyBlob: (entry) => copyBlob(entry, source, store, onProgress),
        async add(entry, index) {
          await source.arriveIn?.(store.records);
          return addInPlace(key, entry, told[index], store, placement);
        },
        hasNow: () => undefined,
        record: (entry) => recordCopy(key, entry, source, store, eventOf(entry)),
      };
    },
  };
}

/**
 * Received times for the entries of a source: the source's own time if known, but before the preceding entry of the
 * source that the store already has. undefined if neither is known.
 */
function timesOf(
  listed: readonly SourceEntry[],
  present: ReadonlyMap<Digest, Date>,
): readonly (Date | undefined)[] {
  let ahead: { readonly index: number; readonly received: Date } | undefined;
  return listed.map(({ digest, received: told }, index) => {
    // Leaves one millisecond for each entry between them, because those follow.
    const latest = ahead && ahead.received.getTime() - (index - ahead.index);
    const received = present.get(digest);
    if (received !== undefined) ahead = { index, received };
    if (latest === undefined) return told;
    return told !== undefined && told.getTime() <= latest ? told : new Date(latest);
  });
}

/**
 * Adds a copied entry to a store at the position that `placement` gives.
 * @param told received time according to the source
 * @returns whether it is new
 */
export async function addInPlace(
  key: Key,
  entry: VerifiedEntry,
  told: Date | undefined,
  { directory }: Pick<Store, 'directory'>,
  placement: Placement,
): Promise<boolean> {
  const isNew = await directory.add(key, entry, placement.receivedTimeFor(entry, told));
  const added = isNew ? await directory.entry(key, entry.digest) : undefined;
  if (added !== undefined) placement.add(added);
  return isNew;
}

/** Records that an entry, or its blob, came into a store; in any case, so also if the blob can't be looked at. */
export async function recordCopy(
  key: Key,
  { digest, sha512, softwareUrl }: SourceEntry,
  source: Source,
  { blobs, log }: Store,
  event: CopyEvent,
): Promise<void> {
  const size = await blobs.size(sha512);
  await log.record({ key, entry: digest, sha512, softwareUrl, size, source: source.name, ...event });
}

/** Ensures that a store has a blob. @returns whether it was already present @throws CacheError as `copyBlob` does */
export async function ensureBlob(
  wanted: BlobName,
  source: Source,
  store: Pick<Store, 'blobs'>,
  onProgress?: KeyTransfer['onProgress'],
): Promise<boolean> {
  const isThere = await hasWholeBlob(wanted, source, store);
  if (!isThere) await copyBlob(wanted, source, store, onProgress);
  return isThere;
}

/**
 * Copies a blob into a store and replaces an existing one.
 * @throws CacheError `blob-missing`, `digest-mismatch`, `incomplete`; then nothing of the blob remains
 */
export async function copyBlob(
  wanted: BlobName,
  source: Source,
  { blobs }: Pick<Store, 'blobs'>,
  onProgress: KeyTransfer['onProgress'] = () => undefined,
): Promise<void> {
  const { sha512 } = wanted;
  const blob = await source.openBlob(sha512);
  if (blob === undefined) throw missingBlob(wanted, source);
  try {
    // If the source states no size, the signed size is the limit.
    const writer = await blobs.create({ digest: sha512, size: blob.size ?? wanted.size });
    try {
      for await (const piece of blob.pieces) {
        await writer.write([piece]);
        onProgress(wanted, piece.byteLength, blob.size);
      }
      await writer.commit();
    } finally {
      await writer.abort();
    }
  } finally {
    await blob.close();
  }
}

/** False for a truncated blob. The size in the source counts, too, because an entry may state a wrong size. */
async function hasWholeBlob(
  { sha512, size }: Pick<SourceEntry, 'sha512' | 'size'>,
  source: Source,
  { blobs }: Pick<Store, 'blobs'>,
): Promise<boolean> {
  const there = await blobs.size(sha512);
  if (there === undefined) return false;
  if (there === size) return true;
  try {
    return there === ((await source.blobSize(sha512)) ?? there);
  } catch (error) {
    // Some servers state no sizes; an unreachable server fails at the next request anyway.
    if (error instanceof CacheError && error.code === 'unavailable') return true;
    throw error;
  }
}
