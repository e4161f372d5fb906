import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { storageError } from './storage-error.ts';

/** While bytes are written, the room is looked at anew after each of these many. */
export const ROOM_CHECK_INTERVAL = 64 * 1024 * 1024;

/**
 * @param size bytes to be written
 * @param reserve bytes that must stay free besides
 * @throws CacheError `no-space`
 */
export async function checkRoom(path: string, size: number, reserve: number): Promise<void> {
  const free = await freeSpace(path);
  if (free >= size + reserve) return;
  throw new CacheError(
    'no-space',
    `no room in ${path}: ${size} bytes and a reserve of ${reserve} are wanted, ${free} are free; free some and try again`,
  );
}

/**
 * Bytes that this user may still write to the file system of `path`, or of its nearest folder that exists. One that tells
 * no size (a tmpfs without limit, some of FUSE) has room until a write fails.
 */
async function freeSpace(path: string): Promise<number> {
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    return blocks === 0 ? Infinity : bavail * bsize;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && dirname(path) !== path) return freeSpace(dirname(path));
    throw storageError(error, `can't tell the free room of ${path}`);
  }
}
