import { isDamage } from '../../cache/errors.ts';
import { newestFirst, type Directory, type StoredEntry } from '../../cache/directory.ts';
import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';

/** All entries of a key in a store. */
export interface KeyEntries {
  /** Newest first. */
  readonly entries: readonly StoredEntry[];
  /** Digests of unreadable entries. */
  readonly damaged: readonly Digest[];
}

/** @throws CacheError `storage`, but not for damaged entries */
export async function readEntries(directory: Directory, key: Key): Promise<KeyEntries> {
  const entries: StoredEntry[] = [];
  const damaged: Digest[] = [];
  for (const digest of await directory.digests(key)) {
    try {
      const entry = await directory.entry(key, digest);
      if (entry !== undefined) entries.push(entry);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(digest);
    }
  }
  return { entries: entries.sort(newestFirst), damaged };
}
