import type { Digest } from '../../cache/digest.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Pace } from './pace.ts';

export interface VerifyOptions {
  /** Whose signatures count. */
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether an entry without signature is none to speak of. */
  readonly allowUnsigned: boolean;
  /** Whether every blob is read and hashed. */
  readonly deep: boolean;
  /** Milliseconds since 1970: entries and blobs that came before are not looked at. */
  readonly since?: number | undefined;
  readonly pace: Pace;
  /** Bytes of a blob that were read since the last call. */
  readonly onProgress?: ((path: string, bytes: number) => void) | undefined;
}

/** What was looked at. */
export interface VerifyCounts {
  entries: number;
  blobs: number;
  /** Of all blobs. */
  bytes: number;
  /** Blobs that no entry names; what `cache gc --unnamed` removes. Meaningless when not all entries were looked at. */
  unreferencedBlobs: number;
  unreferencedBytes: number;
}

/** What the steps of one verification share. */
export interface VerifyState {
  readonly counts: VerifyCounts;
  /** `prefixOf` each blob that an entry names. */
  readonly referenced: Set<number>;
  /** Blobs of which it is known already, before all are looked at, that they are damaged. */
  readonly badBlobs: Set<Digest>;
}

export function createVerifyState(): VerifyState {
  const counts = { entries: 0, blobs: 0, bytes: 0, unreferencedBlobs: 0, unreferencedBytes: 0 };
  return { counts, referenced: new Set(), badBlobs: new Set() };
}
