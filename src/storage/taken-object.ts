import { randomBytes } from 'node:crypto';
import { lstat, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../cache/errors.ts';
import { makeDurable } from './durable-names.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { storageError } from './storage-error.ts';
import { ownerTag } from './temporary-name.ts';

/**
 * The name, in the folder of temporary files, of an object that is taken out of sight. It tells the object's own name: when
 * who took it was killed before it was decided, the object goes back.
 */
export function takenName(name: string): string {
  return `${ownerTag()}.${randomBytes(9).toString('hex')}.taken.${encodeURIComponent(name)}`;
}

/** The name of the object that a temporary file was; undefined for one that never was one. */
export function nameOfTaken(fileName: string): string | undefined {
  const [, encoded = ''] = /\.taken\.([\w%]+)$/.exec(fileName) ?? [];
  const name = encoded.replaceAll('%2F', '/');
  return /^\w+(\/\w+)+$/.test(name) ? name : undefined;
}

/** Gives an object its name back, unless another one has it by now, or it was given back already. */
export async function putBack(root: string, taken: string, name: string): Promise<void> {
  const path = join(root, name);
  try {
    if (await isThere(path)) await removeTaken(taken);
    else {
      await makeFoldersBelow(root, dirname(path));
      await rename(taken, path);
    }
    await makeDurable(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && (await isThere(path))) return;
    throw storageError(error, `can't move ${taken} back to ${path}`);
  }
}

/** Removes an object that was taken out. @returns false where somebody has put it back meanwhile */
export async function removeTaken(taken: string): Promise<boolean> {
  try {
    await unlink(taken);
    return true;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return false;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return false;
  }
}
