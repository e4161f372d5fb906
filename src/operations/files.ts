import { constants } from 'node:fs';
import { access, copyFile, rename, open, realpath, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CacheError, shortReasonOf, systemCode } from '../cache/errors.ts';
import { systemFault } from '../cache/system-fault.ts';
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
    const code = systemCode(error);
    const { advice } = (code === undefined ? undefined : systemFault(code)) ?? {};
    throw new CacheError(
      'config',
      `${path}: can't be read (${shortReasonOf(error)})${advice === undefined ? '' : `; ${advice}`}`,
      { cause: error },
    );
  }
}

/**
 * Whether the current user can reach a file, for advice only: any fault counts as no.
 * @param mode of `access(2)`; `R_OK`: can read it
 */
export async function isAccessible(path: string, mode = constants.F_OK): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
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
    try {
      const file = await open(temporary, 'wx', (before?.mode ?? 0o644) & 0o777);
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

/**
 * Copies a file to `FILE.bak`, or `FILE.bak.2` and so on if that is there; with its owner, group and mode. Follows a link.
 * @returns the path of the copy
 * @throws CacheError `storage`, `no-space`
 */
export async function backUp(path: string): Promise<string> {
  try {
    const target = await realpath(path);
    const { uid, gid, mode } = await stat(target);
    for (let number = 1; ; number++) {
      const copy = `${target}.bak${number === 1 ? '' : `.${number}`}`;
      try {
        await copyFile(target, copy, constants.COPYFILE_EXCL);
      } catch (error) {
        if (systemCode(error) === 'EEXIST') continue;
        throw error;
      }
      const file = await open(copy, 'r+');
      try {
        const made = await file.stat();
        if (made.uid !== uid || made.gid !== gid) await file.chown(uid, gid);
        if ((made.mode & 0o777) !== (mode & 0o777)) await file.chmod(mode & 0o777);
        await file.sync();
      } finally {
        await file.close();
      }
      await makeDurable(copy, undefined, { isSynced: true });
      return copy;
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Makes an existing file survive a loss of power: an earlier command that failed may not have synced it.
 * @throws CacheError `storage`
 */
export async function keepDurable(path: string): Promise<void> {
  try {
    await makeDurable(path);
  } catch (error) {
    throw storageError(error, `can't sync ${path}`);
  }
}

/** Turns a failed system call into an error that a person can act on. */
export function writeError(path: string, error: unknown): CacheError {
  if (systemCode(error) === 'EEXIST')
    return new CacheError('config', `${path} is there already; it is never overwritten`, { cause: error });
  if (isFull(error)) return storageError(error, path);
  return new CacheError('storage', `${path}: can't be written (${shortReasonOf(error)})`, { cause: error });
}
