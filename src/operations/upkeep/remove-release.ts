import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { Store } from '../../cache/store.ts';
import { readEntries } from './read-entries.ts';

export interface RemoveOptions {
  /** Selects platforms; default: all, and unknown ones. */
  readonly matches?: ((platform: Platform) => boolean) | undefined;
  readonly dryRun: boolean;
}

/** An entry that was removed, or would be; a damaged one lacks the optional fields. */
export interface RemovedEntry {
  readonly key: Key;
  readonly entry: Digest;
  readonly sha512?: Digest;
  readonly softwareUrl?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly received?: Date;
}

/**
 * Removes the entries of a key. Their blobs stay, because other entries may name them: see `removeUnnamed`.
 * @returns the removed entries
 * @throws CacheError `storage`
 */
export async function removeRelease(
  key: Key,
  { directory, log }: Store,
  { matches, dryRun }: RemoveOptions,
): Promise<readonly RemovedEntry[]> {
  const { entries, damaged } = await readEntries(directory, key);
  const chosen: readonly RemovedEntry[] = [
    ...entries
      .filter(({ platform }) => matches === undefined || (platform !== undefined && matches(platform)))
      .map(({ digest: entry, sha512, softwareUrl, platform, received }) => ({
        ...{ key, entry, sha512, softwareUrl, platform, received },
      })),
    ...(matches === undefined ? damaged.map((entry) => ({ key, entry })) : []),
  ];
  if (dryRun) return chosen;
  const removed: RemovedEntry[] = [];
  for (const item of chosen) {
    if (!(await directory.remove(key, item.entry))) continue;
    removed.push(item);
    const { entry, sha512, softwareUrl } = item;
    await log.record({ action: 'remove', key, entry, sha512, softwareUrl });
  }
  return removed;
}
