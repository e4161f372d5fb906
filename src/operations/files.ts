import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CacheError, shortReasonOf, systemCode } from '../cache/errors.ts';
import { makeDurable } from '../storage/durable-names.ts';
import { isFull, storageError } from '../storage/storage-error.ts';

/** The text of a file, undefined when it isn't there. @throws CacheError `config` when it can't be read */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new CacheError('config', `${path}: can't be read (${shortReasonOf(error)})`, {
      cause: error,
    });
  }
}

/** Never over a file that is there: two commands at once must not mix their keys. */
export async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text, { flag: 'wx', mode, flush: true });
    await makeDurable(path, undefined, { isSynced: true });
  } catch (error) {
    throw writeError(path, error);
  }
}

/** In the place of a file that is there, in one step. */
export async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.new`;
  try {
    await writeFile(temporary, text, { mode, flush: true });
    await rename(temporary, path);
  } catch (error) {
    throw writeError(path, error);
  }
}

/** A failed system call as a person can act on it. */
export function writeError(path: string, error: unknown): CacheError {
  if (systemCode(error) === 'EEXIST')
    return new CacheError('config', `${path} is there already; it is never overwritten`, { cause: error });
  if (isFull(error)) return storageError(error, path);
  return new CacheError('storage', `${path}: can't be written (${shortReasonOf(error)})`, { cause: error });
}
