import type { Digest } from '../cache/digest.ts';
import { checkBinding, type VerifiedEntry } from '../cache/entry.ts';
import { CacheError, type ErrorCode } from '../cache/errors.ts';
import { createGivingWay } from '../cache/give-way.ts';
import type { Key } from '../cache/key.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Source, SourceEntry } from '../cache/source.ts';

/** Where releases are copied to: a store, or a running cache. */
export interface Destination {
  /** Begins to copy entries of a key. */
  open(key: Key, transfer: KeyTransfer): Promise<KeyDestination>;
}

export interface KeyTransfer {
  readonly source: Source;
  /** All entries that the source has of the key, newest first. */
  readonly listed: readonly SourceEntry[];
  readonly trusted: TransferOptions['trusted'];
  readonly onProgress: NonNullable<TransferOptions['onProgress']>;
}

/** One key of a destination. */
export interface KeyDestination {
  has(entry: SourceEntry): boolean;
  /**
   * Whether nodes would wrongly prefer the entry to a newer one that is there.
   * @param index in the list of the source
   */
  overtakes(entry: SourceEntry, index: number): boolean;
  /** Whether its blob is there, and whole. */
  hasBlob(entry: SourceEntry): Promise<boolean>;
  /** @throws CacheError `blob-missing`, `digest-mismatch`, `incomplete`; then nothing is left of it */
  copyBlob(entry: SourceEntry): Promise<void>;
  /** Adds an entry whose blob is there. @returns whether it is new */
  add(entry: VerifiedEntry, index: number): Promise<boolean>;
  /** Told of each entry that the key has from now on; of a dry run, too. */
  hasNow(entry: SourceEntry): void;
  /** Records that the entry, or its blob, was copied. */
  record(entry: SourceEntry): Promise<void>;
}

export interface TransferOptions {
  /** Whose signatures count. */
  readonly trusted: Pick<TrustedCertificates, 'verify' | 'signerOf'>;
  /** Which of the entries are wanted; all of them by default. */
  readonly select?: (entry: SourceEntry) => boolean;
  /** Finds out what would be copied, and writes nothing. No blob is read: a wrong one isn't noticed. */
  readonly dryRun?: boolean;
  /** Bytes of an entry's blob that were copied since the last call, and of how many where that is known. */
  readonly onProgress?: (entry: BlobName, bytes: number, size: number | undefined) => void;
}

/** What names the blob of an entry. */
export type BlobName = Pick<SourceEntry, 'sha512' | 'size'> & Partial<Pick<SourceEntry, 'softwareUrl'>>;

/** What became of one entry of a source. */
export interface TransferResult {
  readonly key: Key;
  readonly entry: SourceEntry;
  /** `to-copy`: a dry run would copy it. `left-out`: it would overtake a newer entry of the destination. */
  readonly outcome: 'copied' | 'to-copy' | 'unchanged' | 'left-out' | 'refused';
  /** Why it was refused. */
  readonly reason?: string;
}

/** All that a source has of a key: see `transferEntries`. */
export async function* transferKey(
  key: Key,
  source: Source,
  destination: Destination,
  options: TransferOptions,
): AsyncGenerator<TransferResult> {
  yield* transferEntries(key, await source.entries(key), source, destination, options);
}

/**
 * The one way for releases. Copies entries of a key, and the blobs that they name: verbatim, the oldest first, each only
 * after its signature was verified and its blob is there; then records it. What is there already isn't copied again. A
 * fault of one entry doesn't stop the others.
 * @param listed all entries that the source has of the key, newest first
 * @throws CacheError `storage`, `no-space`, `unavailable`: the destination or the source failed; what was yielded is done
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
    target.hasNow(entry);
    if (!isNew && hadBlob) return 'unchanged';
    await target.record(entry);
    return 'copied';
  }
}

/** What a source says that has the entry but not the blob. */
export function missingBlob({ sha512 }: { readonly sha512: Digest }, { name }: Source): CacheError {
  return new CacheError('blob-missing', `${name} has no blob ${sha512}`);
}

/** Why one entry is refused. @throws the error itself when it concerns more: a source or a destination that fails */
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
