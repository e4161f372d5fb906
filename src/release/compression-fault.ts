import { CacheError } from '../cache/errors.ts';
import type { Compression } from './compression.ts';

export function cutOffCompression(compression: Compression, cause?: unknown): CacheError {
  return new CacheError('invalid-archive', `cut off: its ${compression} data ends too early; copy it again`, {
    cause,
  });
}

export function corruptCompression(compression: Compression, cause?: unknown): CacheError {
  const detail = cause instanceof Error ? ` (${cause.message})` : '';
  // xz takes whatever follows for one more stream, and a damaged one.
  const what = compression === 'xz' ? 'is damaged, or something follows its end' : 'is damaged';
  return new CacheError(
    'invalid-archive',
    `corrupt: its ${compression} data ${what}${detail}; copy it again`,
    {
      cause,
    },
  );
}

export function garbageAfterCompression(compression: Compression, cause?: unknown): CacheError {
  return new CacheError(
    'invalid-archive',
    `garbage follows the end of its ${compression} data; copy it again, or pack it anew`,
    { cause },
  );
}

/** @param limit bytes */
export function tooDense(limit: number): CacheError {
  return new CacheError(
    'invalid-archive',
    `it unpacks to more than ${limit} bytes, 100 times its size and more, which no software release does; if that is meant, bring it uncompressed, as a plain tar`,
  );
}

/** What is pending when somebody loses interest. */
export function inspectionStopped(): CacheError {
  return new CacheError('incomplete', 'the inspection was stopped');
}
