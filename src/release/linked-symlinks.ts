import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { systemCode } from '../cache/errors.ts';

/**
 * A symbolic link of the folder that has several names in it, as `cp -al` makes them; undefined where there is none.
 * Python's tarfile, when it unpacks the second name, gives owner and mode to what the link leads to. What can't be
 * looked at is left out: who packs it is told that.
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

/** Nothing, for what the system can't do. */
function ofTheSystem(error: unknown): undefined {
  if (systemCode(error) === undefined) throw error;
  return undefined;
}
