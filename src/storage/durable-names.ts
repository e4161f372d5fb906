import type { BigIntStats } from 'node:fs';
import { lstat, open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LRUCache } from 'lru-cache';
import { systemCode } from '../cache/errors.ts';
import { syncFolder } from './sync-folder.ts';

/** Files and folders that this process knows to be on the disk: path and identity. */
export interface DurableNames {
  get(path: string): string | undefined;
  set(path: string, identity: string): unknown;
}

/** Each name takes 200 bytes. */
const LIMIT = 20_000;

export function createDurableNames(): DurableNames {
  return new LRUCache<string, string>({ max: LIMIT });
}

/**
 * Syncs the bytes and the name of the file or folder at `path`, and the names of all folders above it on the same disk,
 * which their makers may not have synced. Skips names that are known to be durable.
 * @param isSynced whether the bytes are certainly on the disk
 * @throws the system's error; ENOENT if nothing is at `path`
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
    // `stat` follows a link to the folder that really holds the names.
    const above = await stat(parent, { bigint: true });
    // The name of a mount point is on another disk. An overlay reports different devices for files and folders.
    if (parent === child || (child !== path && above.dev !== here.dev)) return;
    try {
      await syncFolder(parent);
    } catch (error) {
      // This process can't have made a folder that it may not read.
      if (child === path || systemCode(error) !== 'EACCES') throw error;
    }
    // The identity before the sync: a later file at this path isn't durable yet.
    known.set(child, identityOf(here));
    if (known.get(parent) === identityOf(above)) return;
    child = parent;
    here = above;
  }
}

/** File systems reuse inode numbers, so the birth time counts, too. The ctime of a file changes when it is renamed. */
function identityOf(stats: BigIntStats): string {
  return [stats.dev, stats.ino, stats.birthtimeNs, stats.isDirectory() ? '' : stats.ctimeNs].join();
}

/** A read-only handle is enough: fsync writes all pending bytes of the file, whichever process wrote them. */
async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
