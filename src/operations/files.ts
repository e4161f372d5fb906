import { rename, open, realpath, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CacheError, shortReasonOf, systemCode } from '../cache/errors.ts';
import { makeDurable } from '../storage/durable-names.ts';
import { isFull, storageError } from '../storage/storage-error.ts';
import { readSmallFile } from '../files/small-file.ts';
import { adoptFile, makeFolders, ownershipOf } from '../storage/ownership.ts';

/** The text of a file; undefined if it is missing. @throws CacheError `config` if it can't be read */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(path)).toString('utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new CacheError('config', `${path}: can't be read (${shortReasonOf(error)})`, {
      cause: error,
    });
  }
}

/**
 * Never overwrites a file, because two commands at once must not mix their keys.
 * @param isForFolder whether the folder's owner gets the file; otherwise the current user does
 */
export async function writeNew(
  path: string,
  text: string,
  mode: number,
  { isForFolder = true }: { readonly isForFolder?: boolean } = {},
): Promise<void> {
  try {
    await makeFolders(dirname(path));
    const file = await open(path, 'wx', mode);
    try {
      if (isForFolder) await adoptFile(file, await ownershipOf(dirname(path)), mode);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await makeDurable(path, undefined, { isSynced: true });
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Replaces a file's text in one step and keeps its owner, group and mode; creates a missing file.
 * @throws CacheError `storage`, `no-space`
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  try {
    const target = await realpath(path).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      return path;
    });
    const before = await stat(target).catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      return undefined;
    });
    const temporary = `${target}.new`;
    await rm(temporary, { force: true });
    const file = await open(temporary, 'wx', (before?.mode ?? 0o644) & 0o777);
    try {
      try {
        await file.writeFile(text);
        const made = await file.stat();
        if (before !== undefined && (made.uid !== before.uid || made.gid !== before.gid))
          await file.chown(before.uid, before.gid);
        if (before !== undefined && made.mode !== before.mode) await file.chmod(before.mode & 0o777);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await makeDurable(target, undefined, { isSynced: true });
  } catch (error) {
    throw writeError(path, error);
  }
}

/** Turns a failed system call into an error that a person can act on. */
export function writeError(path: string, error: unknown): CacheError {
  if (systemCode(error) === 'EEXIST')
    return new CacheError('config', `${path} is there already; it is never overwritten`, { cause: error });
  if (isFull(error)) return storageError(error, path);
  return new CacheError('storage', `${path}: can't be written (${shortReasonOf(error)})`, { cause: error });
}
