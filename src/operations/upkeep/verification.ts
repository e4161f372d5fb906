import type { Digest } from '../../cache/digest.ts';
import type { StoredEntry } from '../../cache/directory.ts';
import type { Key } from '../../cache/key.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Pace } from './pace.ts';

export interface VerifyOptions {
  /** The trusted certificates. */
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether to accept entries without a signature. */
  readonly allowUnsigned: boolean;
  /** Whether to read and hash every blob. */
  readonly deep: boolean;
  /** Milliseconds since 1970: skips older entries and blobs. */
  readonly since?: number | undefined;
  readonly pace: Pace;
  /** Receives bytes that are still to be read, before the first blob and as more are found. */
  readonly onMore?: ((bytes: number) => void) | undefined;
  /** Receives the bytes of a blob read since the last call, with its release or key, or else its path. */
  readonly onProgress?: ((name: string, bytes: number) => void) | undefined;
}

/** Blobs whose names are kept: bounds the memory to some 30 MB. */
export const NAMES_LIMIT = 100_000;

/** The name of a blob, by an entry. */
export type BlobName = Pick<StoredEntry, 'softwareUrl'> & { readonly key: Key };

/** Counts of the examined objects. */
export interface VerifyCounts {
  entries: number;
  blobs: number;
  /** Of all blobs. */
  bytes: number;
  /** Unnamed blobs, which `cache gc --unnamed` removes. Meaningless unless all entries were read. */
  unreferencedBlobs: number;
  unreferencedBytes: number;
}

/** Shared state of one verification. */
export interface VerifyState {
  readonly counts: VerifyCounts;
  /** `prefixOf` each blob that an entry names. */
  readonly referenced: Set<number>;
  /** The first entry of each, by the same prefix; `NAMES_LIMIT` at most. */
  readonly names: Map<number, BlobName>;
  /** Bytes of the named blobs that are still to be read. */
  bytesToRead: number;
  /** Blobs found damaged before the pass over all blobs. */
  readonly badBlobs: Set<Digest>;
}

export function createVerifyState(): VerifyState {
  const counts = { entries: 0, blobs: 0, bytes: 0, unreferencedBlobs: 0, unreferencedBytes: 0 };
  return { counts, referenced: new Set(), names: new Map(), bytesToRead: 0, badBlobs: new Set() };
}
