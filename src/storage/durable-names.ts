import type { BigIntStats } from 'node:fs';
import { lstat, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LRUCache } from 'lru-cache';
import { systemCode } from '../cache/errors.ts';
import { syncFolder } from './sync-folder.ts';

/** Which files and folders this process knows to be on the disk: their path, and what stood there then. */
export interface DurableNames {
  get(path: string): string | undefined;
  set(path: string, identity: string): unknown;
}

/** 200 bytes each. */
const LIMIT = 20_000;

export function createDurableNames(): DurableNames {
  return new LRUCache<string, string>({ max: LIMIT });
}

/**
 * Makes sure that the file or folder at `path` survives a loss of power: its bytes, its name, and the names of all folders
 * that it is in, as far as they are on the same disk. Whoever made a folder may have failed to sync the one above it. What
 * is known takes a look, and no sync.
 * @param isSynced whether the bytes are on the disk for certain
 * @throws what the system says; ENOENT where nothing is there
 */
export async function makeDurable(
  path: string,
  known: DurableNames = new Map<string, string>(),
  { isSynced = false }: { readonly isSynced?: boolean } = {},
): Promise<void> {
  let here = await lstat(path, { bigint: true });
  if (known.get(path) === identityOf(here)) return;
  if (here.isFile() && !isSynced) await syncFile(path);
  for (let child = path; ;) {
    const parent = dirname(child);
    // A link in the place of a folder leads to where the names really are.
    const above = await stat(parent, { bigint: true });
    // Of a mounted disk, the name is on another one. An overlay tells another device for files than for folders.
    if (parent === child || (child !== path && above.dev !== here.dev)) return;
    try {
      await syncFolder(parent);
    } catch (error) {
      // A folder far above that is closed to this user is none that was made here.
      if (child === path || systemCode(error) !== 'EACCES') throw error;
    }
    // What was seen before the sync: what has come in its place since is another one.
    known.set(child, identityOf(here));
    if (known.get(parent) === identityOf(above)) return;
    child = parent;
    here = above;
  }
}

/** Numbers of files are used again, by file systems that tell no time of birth soon. A file's time of change tells its renaming. */
function identityOf(stats: BigIntStats): string {
  return [stats.dev, stats.ino, stats.birthtimeNs, stats.isDirectory() ? '' : stats.ctimeNs].join();
}

/** Reading is enough: what isn't written yet goes to the disk, whoever wrote it. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
