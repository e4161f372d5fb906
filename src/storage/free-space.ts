import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { storageError } from './storage-error.ts';

/** Bytes after which a writer checks the free room again. */
export const ROOM_CHECK_INTERVAL = 64 * 1024 * 1024;

export interface RoomOptions {
  /** Bytes that other writers of this process have reserved and not written yet. */
  readonly reserved?: number;
  /** Why the reserve stays free, for the message. */
  readonly reason?: string;
}

/**
 * @param size bytes to write
 * @param reserve bytes that must stay free afterwards
 * @throws CacheError `no-space`
 */
export async function checkRoom(
  path: string,
  size: number,
  reserve: number,
  { reserved = 0, reason = '([upload] min-free-space)' }: RoomOptions = {},
): Promise<void> {
  const free = await freeSpace(path);
  if (free >= size + reserved + reserve) return;
  const amounts = [
    ...(size > 0 ? [mebibytes(size, Math.ceil)] : []),
    ...(reserved > 0 ? [`${mebibytes(reserved, Math.ceil)} for other unfinished writes`] : []),
  ];
  const needs = [
    amounts.length > 0 ? `needs ${amounts.join(' plus ')}` : '',
    reserve > 0 ? `must keep ${mebibytes(reserve, Math.ceil)} in reserve ${reason}` : '',
  ];
  throw new CacheError(
    'no-space',
    `no room in ${path}: ${needs.filter((need) => need !== '').join(' and ')}; ${mebibytes(free, Math.floor)} is free; free some and try again`,
  );
}

/** Readers compare these figures: they share a unit, and rounding never makes too little room look like enough. */
function mebibytes(bytes: number, round: (value: number) => number): string {
  return `${(round((bytes / 1024 ** 2) * 10) / 10).toFixed(1)} MiB`;
}

/**
 * Bytes that this user may still write to the file system of `path` or of its nearest existing parent. A file system
 * that reports no size (tmpfs without limit, some FUSE) counts as infinite.
 */
export async function freeSpace(path: string): Promise<number> {
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    return blocks === 0 ? Infinity : bavail * bsize;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && dirname(path) !== path) return freeSpace(dirname(path));
    throw storageError(error, `can't tell the free room of ${path}`);
  }
}
