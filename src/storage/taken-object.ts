import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../cache/errors.ts';
import { makeDurable } from './durable-names.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { lstatIfThere, unlinkIfThere } from './if-there.ts';
import { storageError } from './storage-error.ts';
import { ownerTag } from './temporary-name.ts';

/**
 * The temporary name of a hidden object. It contains the object's own name, so that the object can be put back if this
 * process is killed.
 */
export function takenName(name: string): string {
  return `${ownerTag()}.${randomBytes(9).toString('hex')}.taken.${encodeURIComponent(name)}`;
}

/** The own name of a hidden object; undefined for any other temporary file. */
export function nameOfTaken(fileName: string): string | undefined {
  const [, encoded = ''] = /\.taken\.([\w.%]+)$/.exec(fileName) ?? [];
  const name = encoded.replaceAll('%2F', '/');
  return /^\w+(\/\w+(\.\d+)?)+$/.test(name) ? name : undefined;
}

/** Gives a hidden object its name back; removes it if another object has that name. */
export async function putBack(root: string, taken: string, name: string): Promise<void> {
  const path = join(root, name);
  try {
    if ((await lstatIfThere(path)) !== undefined) await unlinkIfThere(taken);
    else {
      await makeFoldersBelow(root, dirname(path));
      await rename(taken, path);
    }
    await makeDurable(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' && (await lstatIfThere(path)) !== undefined) return;
    throw storageError(error, `can't move ${taken} back to ${path}`);
  }
}
