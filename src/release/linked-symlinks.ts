import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { systemCode } from '../cache/errors.ts';

/**
 * Finds a symbolic link that has several names in the folder, as `cp -al` makes them; undefined if there is none. Python's
 * tarfile, when it unpacks the second name, changes owner and mode of the link's target. Skips unreadable files: tar
 * reports them.
 */
export async function findLinkedSymlink(folder: string): Promise<string | undefined> {
  const seen = new Set<string>();
  const folders = [Buffer.from(folder)];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const item of await itemsOf(next)) {
      const path = Buffer.concat([next, Buffer.from('/'), item.name]);
      if (item.isDirectory()) folders.push(path);
      if (!item.isSymbolicLink()) continue;
      const stats = await lstat(path, { bigint: true }).catch(ofTheSystem);
      if (stats === undefined || stats.nlink === 1n) continue;
      const file = `${stats.dev} ${stats.ino}`;
      if (seen.has(file)) return path.subarray(Buffer.byteLength(folder) + 1).toString();
      seen.add(file);
    }
  }
  return undefined;
}

async function itemsOf(folder: Buffer): Promise<readonly Dirent<Buffer>[]> {
  try {
    return await readdir(folder, { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    ofTheSystem(error);
    return [];
  }
}

/** Ignores errors of the system, throws any other. */
function ofTheSystem(error: unknown): undefined {
  if (systemCode(error) === undefined) throw error;
  return undefined;
}
