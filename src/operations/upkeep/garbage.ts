import type { Blobs } from '../../cache/blobs.ts';
import { prefixOf, type Digest } from '../../cache/digest.ts';
import type { StoredEntry } from '../../cache/directory.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Store } from '../../cache/store.ts';
import { createImportRecords } from '../import-records.ts';
import { readEntries } from './read-entries.ts';
import { supersededOf } from './superseded.ts';

export interface GarbageOptions {
  /** Number of entries to keep per group of interchangeable ones; 1 or more. */
  readonly keep: number;
  /** Milliseconds; a younger blob is kept, because its entry may still be on its way. */
  readonly grace: number;
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether unnamed blobs are garbage. Most were uploaded without a key, and clients still request them. */
  readonly unnamed: boolean;
  /** Whether to remove blobs although the store has no entry, which suggests a missing directory. */
  readonly allowEmpty: boolean;
  /** Keys that lose nothing. */
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

/** Everything that a store doesn't need. */
export interface Garbage {
  /**
   * Superseded entries. An entry stays with a blob that is too young, because only the entry shows that the blob is
   * garbage.
   */
  readonly entries: readonly GarbageEntry[];
  /** Blobs that only those entries name; with `unnamed`, also unnamed blobs. */
  readonly blobs: readonly GarbageBlob[];
  /** The same kind of blobs, kept because they are younger than the grace. */
  readonly young: readonly GarbageBlob[];
  /** Unnamed blobs that are kept because `unnamed` is not set. */
  readonly unnamed: readonly GarbageBlob[];
  /** Paths of files that killed writers left. */
  readonly leftovers: readonly string[];
  /** Names of import records whose entry or blob is gone. */
  readonly records: readonly string[];
  /** The store has blobs but no entry: unnamed blobs are no garbage then, unless `allowEmpty` is set. */
  readonly isDoubtful: boolean;
  /** Unreadable entries, which may name any blob: while there are any, no blob or entry is garbage. */
  readonly damaged: readonly { readonly key: Key; readonly entry: Digest }[];
}

/** State of a search, for the removal that follows. */
export interface GarbageSearch {
  readonly garbage: Garbage;
  /** `prefixOf` each blob that a kept entry names. */
  readonly referenced: Set<number>;
  /** `prefixOf` each kept entry. */
  readonly seen: Set<number>;
  /** Milliseconds since 1970; blobs modified later are kept. */
  readonly youngest: number;
}

/** Finds garbage and changes nothing. @throws CacheError `storage` */
export async function findGarbage(store: Store, options: GarbageOptions): Promise<GarbageSearch> {
  const youngest = (options.now ?? Date.now()) - options.grace;
  const { referenced, seen, superseded, damaged } = await readAllEntries(store, options);
  const unneeded = damaged.length > 0 ? [] : await findUnneeded(store.blobs, referenced);
  const isEmpty = superseded.length + damaged.length + seen.size === 0;
  const isDoubtful = isEmpty && !options.allowEmpty && unneeded.length > 0;
  const named = new Set(superseded.map(({ sha512 }) => sha512));
  const isGarbage = ({ sha512 }: UnneededBlob): boolean =>
    named.has(sha512) || (options.unnamed && !isDoubtful);
  const isYoung = ({ modified }: UnneededBlob): boolean => modified > youngest;
  const young = unneeded.filter((blob) => isGarbage(blob) && isYoung(blob));
  const kept = new Set(young.map(({ sha512 }) => sha512));
  const stays = ({ sha512 }: GarbageEntry): boolean => damaged.length > 0 || kept.has(sha512);
  for (const { sha512, entry } of superseded.filter(stays)) {
    referenced.add(prefixOf(sha512));
    seen.add(prefixOf(entry));
  }
  const entries = superseded.filter((entry) => !stays(entry));
  const garbage = {
    entries: entries.sort((a, b) => order(textOf(a), textOf(b))),
    blobs: unneeded.filter((blob) => isGarbage(blob) && !isYoung(blob)).map(toGarbage),
    young: young.map(toGarbage),
    unnamed: unneeded.filter((blob) => !isGarbage(blob)).map(toGarbage),
    leftovers: (await collected(store.upkeep.leftovers())).sort(),
    records: isDoubtful ? [] : await findRecords(store, new Set(entries.map(({ entry }) => entry))),
    isDoubtful,
    damaged,
  };
  return { garbage, referenced, seen, youngest };
}

/** Collects the blobs that entries name, and the superseded entries. */
async function readAllEntries({ blobs, directory }: Store, options: GarbageOptions) {
  const referenced = new Set<number>();
  const seen = new Set<number>();
  const superseded: GarbageEntry[] = [];
  const damaged: { key: Key; entry: Digest }[] = [];
  // A crash or fsck may have truncated it: then the older build is the last good one.
  const hasBlob = async ({ sha512, size }: StoredEntry): Promise<boolean> => {
    const stat = await blobs.stat(sha512);
    return stat !== undefined && (size === undefined || stat.size === size);
  };
  for await (const key of directory.keys()) {
    const found = await readEntries(directory, key);
    for (const entry of found.damaged) damaged.push({ key, entry });
    const supersededHere = new Set(
      options.pinned.has(key) ? [] : await supersededOf(found.entries, { ...options, hasBlob }),
    );
    for (const entry of found.entries) {
      const { digest, sha512, softwareUrl, platform, received } = entry;
      if (supersededHere.has(entry))
        superseded.push({ key, entry: digest, sha512, softwareUrl, platform, received });
      else {
        referenced.add(prefixOf(sha512));
        seen.add(prefixOf(digest));
      }
    }
  }
  return { referenced, seen, superseded, damaged };
}

interface UnneededBlob extends GarbageBlob {
  /** Milliseconds since 1970. */
  readonly modified: number;
}

const toGarbage = ({ sha512, size }: UnneededBlob): GarbageBlob => ({ sha512, size });

/** Blobs that no kept entry names, sorted. */
async function findUnneeded(blobs: Blobs, referenced: ReadonlySet<number>): Promise<readonly UnneededBlob[]> {
  const found: UnneededBlob[] = [];
  for await (const sha512 of blobs.list()) {
    if (referenced.has(prefixOf(sha512))) continue;
    const stat = await blobs.stat(sha512);
    if (stat !== undefined) found.push({ sha512, size: stat.size, modified: stat.modified });
  }
  return found.sort((a, b) => order(a.sha512, b.sha512));
}

async function findRecords(
  { storage, directory, blobs }: Store,
  superseded: ReadonlySet<Digest>,
): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, record } of createImportRecords(storage).list()) {
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
