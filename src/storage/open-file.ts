import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import { readError, throwUnlessAbsent } from './storage-error.ts';

/**
 * Opens a file for reading. Never follows a link in its place, and never waits for a pipe or a device.
 * @returns undefined if it is missing
 * @throws CacheError `storage`: it can't be opened; `damaged`: it is no file, or the disk has lost it
 */
export async function openFile(path: string): Promise<OpenObject | undefined> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK, opening a pipe in place of a blob would wait for ever.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === 'ELOOP') throw notAFile(path);
    throwUnlessAbsent(error, `can't open ${path}`, readError);
    return undefined;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw notAFile(path);
    return {
      size: stats.size,
      modified: stats.mtimeMs,
      async read(into, position) {
        try {
          return (await file.read(into, 0, into.byteLength, position)).bytesRead;
        } catch (error) {
          throw readError(error, `can't read ${path}`);
        }
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw readError(error, `can't look at ${path}`);
  }
}

/** Something else stands in the place of an object: other objects may be sound. */
export function notAFile(path: string): CacheError {
  return new CacheError('damaged', `${path} is not a file; move it out of the store`);
}
