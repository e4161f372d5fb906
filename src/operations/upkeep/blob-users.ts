import { isDamage } from '../../cache/errors.ts';
import type { Digest } from '../../cache/digest.ts';
import type { Directory } from '../../cache/directory.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';

/** An entry that names a blob. */
export interface BlobUser {
  readonly sha512: Digest;
  readonly key: Key;
  readonly entry: Digest;
  readonly softwareUrl: string | undefined;
  readonly platform: Platform | undefined;
}

/**
 * The entries that name one of the blobs. Reads all entries, unless there is no blob. @throws CacheError `storage`
 */
export async function findUsers(
  blobs: ReadonlySet<Digest | undefined>,
  directory: Directory,
): Promise<readonly BlobUser[]> {
  const users: BlobUser[] = [];
  if (blobs.size === 0) return users;
  for await (const { key, digest } of directory.list()) {
    try {
      const entry = await directory.entry(key, digest);
      if (entry === undefined || !blobs.has(entry.sha512)) continue;
      const { sha512, softwareUrl, platform } = entry;
      users.push({ sha512, key, entry: digest, softwareUrl, platform });
    } catch (error) {
      // A damaged entry names no blob.
      if (!isDamage(error)) throw error;
    }
  }
  return users;
}
