import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';
import { formatPlatform } from '../../cache/platform.ts';
import type { SourceEntry } from '../../cache/source.ts';
import { blobOfFile, keyOfFile } from './damaged-object.ts';
import type { Manifest } from './manifest.ts';
import type { MediumFault } from './medium-faults.ts';
import type { Medium } from './open-medium.ts';

/** What is damaged on a medium, by entries and blobs. */
export interface MediumDamage {
  readonly medium: Medium;
  /** Blobs that the site lacks. */
  readonly missing: ReadonlyMap<Digest, number>;
  readonly faults: readonly MediumFault[];
}

/** The first fault of each damaged blob, for a person who does not know its sha512. */
export function blobFaultsOf(faults: readonly MediumFault[]): ReadonlyMap<Digest, string> {
  const found = new Map<Digest, string>();
  for (const fault of faults) {
    const blob = blobOfFile(fault);
    if (blob === undefined || found.has(blob.sha512)) continue;
    found.set(blob.sha512, `${blob.what} on the medium: ${fault.what}`);
  }
  return found;
}

/** The entries, with a reason where the site lacks a blob that is damaged. */
export function refuseDamaged<
  One extends { readonly entry: Pick<SourceEntry, 'sha512'>; readonly reason?: string },
>(entries: readonly One[], { missing, faults }: MediumDamage): readonly One[] {
  const damaged = blobFaultsOf(faults);
  return entries.map((one) => {
    const { sha512 } = one.entry;
    const reason = missing.has(sha512) ? damaged.get(sha512) : undefined;
    return one.reason !== undefined || reason === undefined ? one : { ...one, reason };
  });
}

/** A refused entry that can't be read. */
interface LostEntry {
  readonly key: Key;
  readonly softwareUrl: string | undefined;
  readonly platform: undefined;
  readonly sha512: Digest | undefined;
  readonly size: number | undefined;
  readonly outcome: 'refused';
  readonly reason: string;
}

/** The damaged entries, as the manifest's list of releases names them. */
export function lostEntries({ medium, faults }: MediumDamage): readonly LostEntry[] {
  const unread = unreadReleases(medium);
  const lost: LostEntry[] = [];
  for (const fault of faults) {
    const key = keyOfFile(fault);
    if (key === undefined) continue;
    const { url, sha512, size } = unread.get(key)?.shift() ?? {};
    lost.push({
      ...{ key, softwareUrl: url, platform: undefined, sha512, size, outcome: 'refused' },
      reason: `entry on the medium: ${fault.what}`,
    });
  }
  return lost;
}

/** Faults of files that no refused entry accounts for, such as files that the manifest does not list. */
export function otherFaults(
  { faults }: MediumDamage,
  results: readonly { readonly outcome: string; readonly sha512: Digest | undefined }[],
): readonly MediumFault[] {
  const refused = new Set(results.filter(({ outcome }) => outcome === 'refused').map(({ sha512 }) => sha512));
  return faults.filter((fault) => {
    const blob = blobOfFile(fault);
    return keyOfFile(fault) === undefined && (blob === undefined || !refused.has(blob.sha512));
  });
}

/** The releases of the manifest without those whose entry could be read, by key. */
function unreadReleases({ manifest, entries }: Medium): ReadonlyMap<string, Manifest['releases']> {
  const buildOf = (...build: readonly (string | undefined)[]): string => JSON.stringify(build);
  const read = new Map<string, number>();
  for (const { key, entry } of entries) {
    const build = buildOf(key, entry.sha512, entry.platform && formatPlatform(entry.platform));
    read.set(build, (read.get(build) ?? 0) + 1);
  }
  const unread = new Map<string, Manifest['releases']>();
  for (const release of manifest.releases) {
    const build = buildOf(release.key, release.sha512, release.platform);
    const count = read.get(build) ?? 0;
    if (count > 0) read.set(build, count - 1);
    else unread.set(release.key, [...(unread.get(release.key) ?? []), release]);
  }
  return unread;
}
