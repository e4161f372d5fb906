import type { Digest } from '../../cache/digest.ts';
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
  /** Receives the bytes of a blob read since the last call. */
  readonly onProgress?: ((path: string, bytes: number) => void) | undefined;
}

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
  /** Blobs found damaged before the pass over all blobs. */
  readonly badBlobs: Set<Digest>;
}

export function createVerifyState(): VerifyState {
  const counts = { entries: 0, blobs: 0, bytes: 0, unreferencedBlobs: 0, unreferencedBytes: 0 };
  return { counts, referenced: new Set(), badBlobs: new Set() };
}
