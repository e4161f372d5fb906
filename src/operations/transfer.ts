import type { Digest } from '../cache/digest.ts';
import { checkBinding, type VerifiedEntry } from '../cache/entry.ts';
import { CacheError, type ErrorCode } from '../cache/errors.ts';
import { createGivingWay } from '../cache/give-way.ts';
import type { Key } from '../cache/key.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Source, SourceEntry } from '../cache/source.ts';

/** Target of a copy: a store, or a running cache. */
export interface Destination {
  /** Begins to copy entries of a key. */
  open(key: Key, transfer: KeyTransfer): Promise<KeyDestination>;
}

export interface KeyTransfer {
  readonly source: Source;
  /** All entries of the key in the source, newest first. */
  readonly listed: readonly SourceEntry[];
  readonly trusted: TransferOptions['trusted'];
  readonly onProgress: NonNullable<TransferOptions['onProgress']>;
}

/** One key of a destination. */
export interface KeyDestination {
  has(entry: SourceEntry): boolean;
  /**
   * Whether nodes would wrongly prefer the entry to a newer one of the destination.
   * @param index in the list of the source
   */
  overtakes(entry: SourceEntry, index: number): boolean;
  /** Whether the destination has the whole blob. */
  hasBlob(entry: SourceEntry): Promise<boolean>;
  /** @throws CacheError `blob-missing`, `digest-mismatch`, `incomplete`; then nothing of the blob remains */
  copyBlob(entry: SourceEntry): Promise<void>;
  /** Adds an entry whose blob is present. @returns whether it is new */
  add(entry: VerifiedEntry, index: number): Promise<boolean>;
  /** Receives each entry that the key now has; in a dry run, too. */
  hasNow(entry: SourceEntry): void;
  /** Records that the entry or its blob was copied. */
  record(entry: SourceEntry): Promise<void>;
}

export interface TransferOptions {
  /** The trusted certificates. */
  readonly trusted: Pick<TrustedCertificates, 'verify' | 'signerOf'>;
  /** Selects the wanted entries; default: all. */
  readonly select?: (entry: SourceEntry) => boolean;
  /** Plans the copy and writes nothing. Blobs are not read, so damage goes unnoticed. */
  readonly dryRun?: boolean;
  /** Receives the bytes of an entry's blob since the last call, and its size if known. */
  readonly onProgress?: (entry: BlobName, bytes: number, size: number | undefined) => void;
}

/** Names the blob of an entry. */
export type BlobName = Pick<SourceEntry, 'sha512' | 'size'> & Partial<Pick<SourceEntry, 'softwareUrl'>>;

/** Result for one entry of a source. */
export interface TransferResult {
  readonly key: Key;
  readonly entry: SourceEntry;
  /** `to-copy`: a dry run would copy it. `left-out`: it would overtake a newer entry of the destination. */
  readonly outcome: 'copied' | 'to-copy' | 'unchanged' | 'left-out' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: string;
}

/** Copies all entries of a key: see `transferEntries`. */
export async function* transferKey(
  key: Key,
  source: Source,
  destination: Destination,
  options: TransferOptions,
): AsyncGenerator<TransferResult> {
  yield* transferEntries(key, await source.entries(key), source, destination, options);
}

/**
 * Copies entries of a key with their blobs, verbatim and oldest first; each signature is verified and each blob
 * present before its entry is added. Skips entries already present, and continues after a fault of one entry.
 * @param listed all entries of the key in the source, newest first
 * @throws CacheError `storage`, `no-space`, `unavailable`: the destination or the source failed; yielded results are
 * final
 */
export async function* transferEntries(
  key: Key,
  listed: readonly SourceEntry[],
  source: Source,
  destination: Destination,
  { trusted, select = () => true, dryRun = false, onProgress = () => undefined }: TransferOptions,
): AsyncGenerator<TransferResult> {
  const target = await destination.open(key, { source, listed, trusted, onProgress });
  const giveWay = createGivingWay();
  for (const [index, entry] of [...listed.entries()].reverse()) {
    await giveWay();
    if (!select(entry)) continue;
    try {
      yield { key, entry, outcome: await transfer(entry, index) };
    } catch (error) {
      yield { key, entry, outcome: 'refused', reason: reasonOf(error) };
    }
  }

  async function transfer(entry: SourceEntry, index: number): Promise<TransferResult['outcome']> {
    const verified = trusted.verify(entry);
    checkBinding(key, entry);
    const isThere = target.has(entry);
    if (!isThere && target.overtakes(entry, index)) return 'left-out';
    const hadBlob = await target.hasBlob(entry);
    if (dryRun) {
      if (!hadBlob && (await source.blobSize(entry.sha512)) === undefined) throw missingBlob(entry, source);
      target.hasNow(entry);
      return isThere && hadBlob ? 'unchanged' : 'to-copy';
    }
    if (!hadBlob) await target.copyBlob(entry);
    const isNew = await target.add(verified, index);
    // Until now no entry named it, and gc may have taken it.
    if (isNew && hadBlob && !(await target.hasBlob(entry))) await target.copyBlob(entry);
    target.hasNow(entry);
    if (!isNew && hadBlob) return 'unchanged';
    await target.record(entry);
    return 'copied';
  }
}

/** The error for a source that has the entry but not the blob. */
export function missingBlob({ sha512 }: { readonly sha512: Digest }, { name }: Source): CacheError {
  return new CacheError('blob-missing', `${name} has no blob ${sha512}`);
}

/** Reason why one entry, or blob, is refused. @throws the error itself if the source or the destination fails */
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
