import { CacheError } from '../cache/errors.ts';

export function tooLongExtension(size: number, limit: number, position: number): CacheError {
  return new CacheError(
    'invalid-archive',
    `the extended header at byte ${position} of the unpacked tar has ${size} bytes, more than the limit of ${limit}; paths and attributes of Linux need less`,
  );
}

export function tooManyExtensions(limit: number, position: number): CacheError {
  return new CacheError(
    'invalid-archive',
    `more than ${limit} extended headers for one member, at byte ${position} of the unpacked tar; programs write three at most, pack it again`,
  );
}

export function cutOff(detail: string): CacheError {
  return new CacheError('invalid-archive', `cut-off tar: ${detail}; copy or pack it again`);
}
