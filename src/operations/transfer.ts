import type { Blobs } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';
import { noneIfDamaged, type Directory } from '../cache/directory.ts';
import { checkBinding } from '../cache/entry.ts';
import { CacheError, type ErrorCode } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Source, SourceEntry } from './source.ts';

/** The store that is copied to. */
export interface TransferTarget {
  readonly blobs: Blobs;
  readonly directory: Directory;
}

export interface TransferOptions {
  /** Whose signatures count. */
  readonly trusted: Pick<TrustedCertificates, 'verify'>;
  /** Which of the entries are wanted; all of them unless told. */
  readonly select?: (entry: SourceEntry) => boolean;
  /** Bytes of a blob that were copied since the last call. */
  readonly onProgress?: (digest: Digest, bytes: number) => void;
}

/** What became of one entry of a source. */
export interface TransferResult {
  readonly key: Key;
  readonly entry: SourceEntry;
  readonly outcome: 'copied' | 'unchanged' | 'refused';
  /** Why it was refused. */
  readonly reason?: string;
}

/**
 * Copies the entries of a key, and the blobs that they name, from a source into a store: verbatim, the oldest first,
 * each only after its signature was verified and its blob is there. What is there already isn't copied again. An
 * entry never overtakes one that stands before it in the source. What is wrong with one entry doesn't stop the rest.
 * @throws CacheError `storage`, `no-space`, `unavailable`: the store or the source failed; what was yielded is done
 */
export async function* transferKey(
  key: Key,
  source: Source,
  target: TransferTarget,
  { trusted, select = () => true, onProgress }: TransferOptions,
): AsyncGenerator<TransferResult> {
  const listed = await source.entries(key);
  const present = new Map<Digest, Date>();
  for (const { digest, received } of await target.directory.entries(key).catch(noneIfDamaged)) {
    present.set(digest, received);
  }
  for (const [index, entry] of [...listed.entries()].reverse()) {
    if (!select(entry)) continue;
    try {
      const verified = trusted.verify(entry);
      checkBinding(key, entry);
      const hadBlob = await copyBlob(entry, source, target.blobs, onProgress);
      const received = entry.received ?? placeOf(index, listed, present);
      const isNew = await target.directory.add(key, verified, received);
      yield { key, entry, outcome: isNew || !hadBlob ? 'copied' : 'unchanged' };
    } catch (error) {
      yield { key, entry, outcome: 'refused', reason: reasonOf(error) };
    }
  }
}

/**
 * When an entry is to count as received that comes from a list without dates: before the entry ahead of it in the list
 * that the store has already, and as the newest when there is none.
 */
function placeOf(
  index: number,
  listed: readonly SourceEntry[],
  present: ReadonlyMap<Digest, Date>,
): Date | undefined {
  for (let ahead = index - 1; ahead >= 0; ahead--) {
    const digest = listed[ahead]?.digest;
    const received = digest === undefined ? undefined : present.get(digest);
    // As many milliseconds before it as there are places between: those in between come, too.
    if (received !== undefined) return new Date(received.getTime() - (index - ahead));
  }
  return undefined;
}

/**
 * Makes a store have a blob.
 * @param size in bytes as the entry tells it, where it does
 * @returns whether it was there already
 * @throws CacheError `blob-missing`, `digest-mismatch`, `incomplete`; then nothing is left of it
 */
export async function copyBlob(
  { sha512, size }: Pick<SourceEntry, 'sha512' | 'size'>,
  source: Source,
  blobs: Blobs,
  onProgress: TransferOptions['onProgress'] = () => undefined,
): Promise<boolean> {
  const there = await blobs.stat(sha512);
  // A blob that was cut off is copied again. An entry may tell a wrong size: that of the source counts, too.
  if (
    there !== undefined &&
    (there.size === size || there.size === ((await source.blobSize(sha512)) ?? there.size))
  )
    return true;
  const blob = await source.openBlob(sha512);
  if (blob === undefined) throw new CacheError('blob-missing', `${source.name} has no blob ${sha512}`);
  try {
    const writer = await blobs.create({ digest: sha512, size: blob.size });
    try {
      for await (const piece of blob.pieces) {
        await writer.write(piece);
        onProgress(sha512, piece.byteLength);
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

/** What concerns one entry only; a source or a store that fails concerns all. */
function reasonOf(error: unknown): string {
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
