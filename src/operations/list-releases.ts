import { noneIfDamaged, type Directory, type StoredEntry } from '../cache/directory.ts';
import type { Blobs } from '../cache/blobs.ts';
import { isReleaseKey, type Key } from '../cache/key.ts';
import type { Platform } from '../cache/platform.ts';

/** A software release with everything that a store has of it. */
export interface Release {
  readonly softwareUrl: string;
  readonly key: Key;
  /** The newest entry of each platform, which nodes take. */
  readonly builds: readonly Build[];
}

export interface Build {
  readonly platform: Platform;
  readonly sha512: string;
  /** Bytes of the archive; undefined if the blob is missing. */
  readonly size: number | undefined;
  readonly received: Date;
}

/**
 * All software releases, by URL. Skips keys whose entries are all damaged, and other keys (sources, a site's own).
 */
export async function listReleases(directory: Directory, blobs: Blobs): Promise<readonly Release[]> {
  const keys = new Set<Key>();
  for await (const { key } of directory.list()) {
    if (isReleaseKey(key)) keys.add(key);
  }
  const releases: Release[] = [];
  for (const key of keys) {
    const entries = await directory.entries(key).catch(noneIfDamaged);
    const softwareUrl = entries[0]?.softwareUrl;
    if (softwareUrl !== undefined)
      releases.push({ softwareUrl, key, builds: await buildsOf(entries, blobs) });
  }
  return releases.sort((a, b) => (a.softwareUrl < b.softwareUrl ? -1 : 1));
}

async function buildsOf(entries: readonly StoredEntry[], blobs: Blobs): Promise<readonly Build[]> {
  const builds = new Map<string, Build>();
  for (const { platform, sha512, received } of entries) {
    if (platform === undefined) continue;
    const id = JSON.stringify([platform.multiarch, platform.os]);
    if (builds.has(id)) continue;
    builds.set(id, { platform, sha512, size: (await blobs.stat(sha512))?.size, received });
  }
  return [...builds.values()];
}
