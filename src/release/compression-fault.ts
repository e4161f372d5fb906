import { CacheError } from '../cache/errors.ts';
import type { Compression } from './compression.ts';

export function cutOffCompression(compression: Compression, cause?: unknown): CacheError {
  return new CacheError('invalid-archive', `cut off: its ${compression} data ends too early; copy it again`, {
    cause,
  });
}

export function corruptCompression(compression: Compression, cause?: unknown): CacheError {
  const detail = cause instanceof Error ? ` (${cause.message})` : '';
  // xz takes any data after its end for one more stream.
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
    `garbage follows the end of its ${compression} data; copy or pack it again`,
    { cause },
  );
}

/** @param limit bytes */
export function tooDense(limit: number): CacheError {
  return new CacheError(
    'invalid-archive',
    `it unpacks to more than ${limit} bytes, over 100 times its size; no software release does. If this is intended, import it as a plain tar`,
  );
}

export function tooMuchMemory(cause: unknown): CacheError {
  return new CacheError(
    'unsupported-archive',
    'its xz data needs more than 256 MiB of memory; compress it again with xz -9 or lower',
    { cause },
  );
}

/** The error of calls that were pending at `abort()`. */
export function inspectionStopped(): CacheError {
  return new CacheError('incomplete', 'the inspection was stopped');
}
