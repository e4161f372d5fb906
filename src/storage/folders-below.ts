import { mkdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { systemCode } from '../cache/errors.ts';
import { adoptFolder, ownershipOf } from './ownership.ts';

/**
 * Makes a folder and its parents, but never the root: the empty mount point of a missing disk must not become a store.
 * @returns the folders that were missing
 */
export async function makeFoldersBelow(root: string, folder: string): Promise<readonly string[]> {
  const made: string[] = [];
  let path = root;
  for (const name of relative(root, folder).split(sep).filter(Boolean)) {
    path = join(path, name);
    try {
      await mkdir(path);
      made.push(path);
      await adoptFolder(path, await ownershipOf(root));
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }
  return made;
}
