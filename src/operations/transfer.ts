import type { Blobs } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';
import { noneIfDamaged, type Directory } from '../cache/directory.ts';
import { checkBinding, type VerifiedEntry } from '../cache/entry.ts';
import { CacheError, type ErrorCode } from '../cache/errors.ts';
import { createGivingWay } from '../cache/give-way.ts';
import type { Key } from '../cache/key.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Store } from '../cache/store.ts';
import { createPlacement, type Placement } from './placement.ts';
import type { Source, SourceEntry } from '../cache/source.ts';

export interface TransferOptions {
  /** Whose signatures count. */
  readonly trusted: Pick<TrustedCertificates, 'verify' | 'signerOf'>;
  /** Which of the entries are wanted; all of them unless told. */
  readonly select?: (entry: SourceEntry) => boolean;
  /** Finds out what would be copied, and writes nothing. No blob is read: a wrong one isn't noticed. */
  readonly dryRun?: boolean;
  /** Bytes of a blob that were copied since the last call, and of how many where that is known. */
  readonly onProgress?: (digest: Digest, bytes: number, size: number | undefined) => void;
}

/** What became of one entry of a source. */
export interface TransferResult {
  readonly key: Key;
  readonly entry: SourceEntry;
  /** `to-copy`: a dry run would copy it. */
  readonly outcome: 'copied' | 'to-copy' | 'unchanged' | 'refused';
  /** Why it was refused. */
  readonly reason?: string;
}

/** All that a source has of a key: see `transferEntries`. */
export async function* transferKey(
  key: Key,
  source: Source,
  target: Store,
  options: TransferOptions,
): AsyncGenerator<TransferResult> {
  yield* transferEntries(key, await source.entries(key), source, target, options);
}

/**
 * Copies entries of a key, and the blobs that they name, from a source into a store: verbatim, the oldest first, each
 * only after its signature was verified and its blob is there. What is there already isn't copied again. An entry never
 * overtakes one that stands before it in the source, nor, whatever times the source tells, one that its own signer has
 * made later (`createPlacement`). What is wrong with one entry doesn't stop the rest.
 * @param listed all entries that the source has of the key, newest first
 * @throws CacheError `storage`, `no-space`, `unavailable`: the store or the source failed; what was yielded is done
 */
export async function* transferEntries(
  key: Key,
  listed: readonly SourceEntry[],
  source: Source,
  target: Store,
  { trusted, select = () => true, dryRun = false, onProgress }: TransferOptions,
): AsyncGenerator<TransferResult> {
  const there = await target.directory.entries(key).catch(noneIfDamaged);
  const present = new Map(there.map(({ digest, received }) => [digest, received]));
  const told = timesOf(listed, present);
  const placement = createPlacement(there, trusted);
  const giveWay = createGivingWay();
  for (const [index, entry] of [...listed.entries()].reverse()) {
    await giveWay();
    if (!select(entry)) continue;
    try {
      const isNew = await transfer(entry, told[index]);
      yield { key, entry, outcome: !isNew ? 'unchanged' : dryRun ? 'to-copy' : 'copied' };
    } catch (error) {
      yield { key, entry, outcome: 'refused', reason: reasonOf(error) };
    }
  }

  /** @returns whether anything was missing */
  async function transfer(entry: SourceEntry, received: Date | undefined): Promise<boolean> {
    const verified = trusted.verify(entry);
    checkBinding(key, entry);
    if (dryRun) {
      const hasBlob = await hasWholeBlob(entry, source, target.blobs);
      if (!hasBlob && (await source.blobSize(entry.sha512)) === undefined) throw missingBlob(entry, source);
      return !hasBlob || !present.has(entry.digest);
    }
    const hadBlob = await copyBlob(entry, source, target.blobs, onProgress);
    await source.arriveIn?.(target.storage);
    return (await addInPlace(key, verified, received, target.directory, placement)) || !hadBlob;
  }
}

/**
 * When each entry of a source is to count as received, by the order of the source: when the source received it, where
 * that is told, but before the entry ahead of it in the source that the store has already. undefined where neither says
 * anything.
 */
function timesOf(
  listed: readonly SourceEntry[],
  present: ReadonlyMap<Digest, Date>,
): readonly (Date | undefined)[] {
  let ahead: { readonly index: number; readonly received: Date } | undefined;
  return listed.map(({ digest, received: told }, index) => {
    // As many milliseconds before it as there are places between: those in between come, too.
    const latest = ahead && ahead.received.getTime() - (index - ahead.index);
    const received = present.get(digest);
    if (received !== undefined) ahead = { index, received };
    if (latest === undefined) return told;
    return told !== undefined && told.getTime() <= latest ? told : new Date(latest);
  });
}

/**
 * Adds a copied entry to a store where `placement` has its place.
 * @param told when it is to count as received, as far as the source goes
 * @returns whether it is new
 */
export async function addInPlace(
  key: Key,
  entry: VerifiedEntry,
  told: Date | undefined,
  directory: Directory,
  placement: Placement,
): Promise<boolean> {
  const isNew = await directory.add(key, entry, placement.placeOf(entry, told));
  const added = isNew ? await directory.entry(key, entry.digest) : undefined;
  if (added !== undefined) placement.add(added);
  return isNew;
}

/**
 * Makes a store have a blob.
 * @param size in bytes as the entry tells it, where it does
 * @returns whether it was there already
 * @throws CacheError `blob-missing`, `digest-mismatch`, `incomplete`; then nothing is left of it
 */
export async function copyBlob(
  wanted: Pick<SourceEntry, 'sha512' | 'size'>,
  source: Source,
  blobs: Blobs,
  onProgress: TransferOptions['onProgress'] = () => undefined,
): Promise<boolean> {
  const { sha512 } = wanted;
  if (await hasWholeBlob(wanted, source, blobs)) return true;
  const blob = await source.openBlob(sha512);
  if (blob === undefined) throw missingBlob(wanted, source);
  try {
    // Where the source tells no size, that which was signed is the end.
    const writer = await blobs.create({ digest: sha512, size: blob.size ?? wanted.size });
    try {
      for await (const piece of blob.pieces) {
        await writer.write([piece]);
        onProgress(sha512, piece.byteLength, blob.size);
      }
      await writer.commit();
    } finally {
      await writer.abort();
    }
    return false;
  } finally {
    await blob.close();
  }
}

/** A blob that was cut off is not whole. An entry may tell a wrong size: that of the source counts, too. */
async function hasWholeBlob(
  { sha512, size }: Pick<SourceEntry, 'sha512' | 'size'>,
  source: Source,
  blobs: Blobs,
): Promise<boolean> {
  const there = await blobs.stat(sha512);
  if (there === undefined) return false;
  if (there.size === size) return true;
  try {
    return there.size === ((await source.blobSize(sha512)) ?? there.size);
  } catch (error) {
    // Some servers tell no sizes. One that can't be reached any more will be noticed soon enough.
    if (error instanceof CacheError && error.code === 'unavailable') return true;
    throw error;
  }
}

/** What a source says that has the entry but not the blob. */
export function missingBlob({ sha512 }: Pick<SourceEntry, 'sha512'>, { name }: Source): CacheError {
  return new CacheError('blob-missing', `${name} has no blob ${sha512}`);
}

/** Why one entry is refused. @throws the error itself when it concerns more: a source or a store that fails */
export function reasonOf(error: unknown): string {
  if (!(error instanceof CacheError) || FAILURES.has(error.code)) throw error;
  return error.message;
}

const FAILURES: ReadonlySet<ErrorCode> = new Set([
  'storage',
  'no-space',
  'unavailable',
  'unauthorized',
  'forbidden',
]);
