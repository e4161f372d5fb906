import type { Blobs } from '../../cache/blobs.ts';
import { createDigestSet, type DigestSet } from '../../cache/digest-set.ts';
import type { Digest } from '../../cache/digest.ts';
import type { Directory, StoredEntry } from '../../cache/directory.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { StoreUpkeep } from '../../cache/store-upkeep.ts';
import type { ImportRecords } from '../import-records.ts';
import { readEntries } from './read-entries.ts';
import { supersededOf } from './superseded.ts';

export interface GarbageStore {
  readonly blobs: Blobs;
  readonly directory: Directory;
  readonly records: ImportRecords;
  readonly upkeep: Pick<StoreUpkeep, 'leftovers'>;
}

export interface GarbageOptions {
  /** How many entries are kept of what one node could install; 1 or more. */
  readonly keep: number;
  /** Milliseconds: what is younger is kept, because its entry may be on its way. */
  readonly grace: number;
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether blobs go though the store has no entry at all: it's rather its folder of entries that is missing. */
  readonly allowEmpty: boolean;
  /** Keys of which nothing is removed. */
  readonly pinned: ReadonlySet<Key>;
  readonly now?: number;
}

export interface GarbageEntry {
  readonly key: Key;
  readonly entry: Digest;
  readonly sha512: Digest;
  readonly softwareUrl: string | undefined;
  readonly platform: Platform | undefined;
  readonly received: Date;
}

export interface GarbageBlob {
  readonly sha512: Digest;
  /** Bytes. */
  readonly size: number;
}

/** What a store doesn't need. */
export interface Garbage {
  /** Superseded. */
  readonly entries: readonly GarbageEntry[];
  /** That no entry names, or none but those above. */
  readonly blobs: readonly GarbageBlob[];
  /** The same, but kept: they are younger than the grace. */
  readonly young: readonly GarbageBlob[];
  /** Paths of what killed writers left. */
  readonly leftovers: readonly string[];
  /** Names of records of imports, whose entry or blob is gone. */
  readonly records: readonly string[];
  /** There are blobs, but no entry at all: nothing counts as garbage by what no entry names, unless that was allowed. */
  readonly isDoubtful: boolean;
  /** Entries that can't be read. While there are any, no blob is garbage: they may name it. */
  readonly damaged: readonly { readonly key: Key; readonly entry: Digest }[];
}

/** What was seen while the garbage was sought, for whoever removes it. */
export interface GarbageSearch {
  readonly garbage: Garbage;
  /** Blobs that entries name which stay. */
  readonly referenced: DigestSet;
  /** Entries that stay. */
  readonly seen: DigestSet;
  /** What was modified later is kept; milliseconds since 1970. */
  readonly youngest: number;
}

/** Looks for garbage, and changes nothing. @throws CacheError `storage` */
export async function findGarbage(store: GarbageStore, options: GarbageOptions): Promise<GarbageSearch> {
  const { blobs, directory, upkeep } = store;
  const youngest = (options.now ?? Date.now()) - options.grace;
  const referenced = createDigestSet();
  const seen = createDigestSet();
  const entries: GarbageEntry[] = [];
  const damaged: { key: Key; entry: Digest }[] = [];
  // A crash or fsck may have cut it off: then the older build is the last good one.
  const hasBlob = async ({ sha512, size }: StoredEntry): Promise<boolean> => {
    const stat = await blobs.stat(sha512);
    return stat !== undefined && (size === undefined || stat.size === size);
  };
  for await (const key of directory.keys()) {
    const found = await readEntries(directory, key);
    damaged.push(...found.damaged.map((entry) => ({ key, entry })));
    const superseded = new Set(
      options.pinned.has(key) ? [] : await supersededOf(found.entries, { ...options, hasBlob }),
    );
    for (const entry of found.entries) {
      const { digest, sha512, softwareUrl, platform, received } = entry;
      if (superseded.has(entry))
        entries.push({ key, entry: digest, sha512, softwareUrl, platform, received });
      else {
        referenced.add(sha512);
        seen.add(digest);
      }
    }
  }
  const found = damaged.length > 0 ? { blobs: [], young: [] } : await findBlobs(blobs, referenced, youngest);
  const isEmpty = entries.length + damaged.length + seen.size === 0;
  const isDoubtful = isEmpty && !options.allowEmpty && found.blobs.length + found.young.length > 0;
  const garbage = {
    entries: entries.sort((a, b) => order(textOf(a), textOf(b))),
    ...(isDoubtful ? { blobs: [], young: [] } : found),
    leftovers: (await collected(upkeep.leftovers())).sort(),
    records: isDoubtful ? [] : await findRecords(store, new Set(entries.map(({ entry }) => entry))),
    isDoubtful,
    damaged,
  };
  return { garbage, referenced, seen, youngest };
}

async function findBlobs(
  blobs: Blobs,
  referenced: DigestSet,
  youngest: number,
): Promise<Pick<Garbage, 'blobs' | 'young'>> {
  const old: GarbageBlob[] = [];
  const young: GarbageBlob[] = [];
  for await (const sha512 of blobs.list()) {
    if (referenced.has(sha512)) continue;
    const stat = await blobs.stat(sha512);
    if (stat !== undefined) (stat.modified <= youngest ? old : young).push({ sha512, size: stat.size });
  }
  for (const found of [old, young]) found.sort((a, b) => order(a.sha512, b.sha512));
  return { blobs: old, young };
}

async function findRecords(
  { records, directory, blobs }: GarbageStore,
  superseded: ReadonlySet<Digest>,
): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, record } of records.list()) {
    const isOfUse =
      record !== undefined &&
      !superseded.has(record.entry) &&
      (await directory.digests(record.key)).includes(record.entry) &&
      (await blobs.stat(record.sha512)) !== undefined;
    if (!isOfUse) found.push(name);
  }
  return found.sort();
}

async function collected(items: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function textOf({ softwareUrl, key, received, entry }: GarbageEntry): string {
  return `${softwareUrl ?? ''} ${key} ${received.toISOString()} ${entry}`;
}

function order(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
