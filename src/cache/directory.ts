import { z } from 'zod';
import { digestOf, type Digest } from './digest.ts';
import {
  checkBinding,
  ENTRY_SIZE_LIMIT,
  madeAt,
  parseEntry,
  type UnverifiedEntry,
  type VerifiedEntry,
} from './entry.ts';
import { CacheError, throwProgrammingError, isDamage } from './errors.ts';
import type { Key } from './key.ts';
import { blobName, DIRECTORY, entriesPrefix, parseEntryName } from './layout.ts';
import type { ObjectStorage } from './object-storage.ts';
import { addSmallObject, DamagedObject, readSmallObject, writeSmallObject } from './small-object.ts';

/** ShaDir: the entries of each key. */
export interface Directory {
  /**
   * All entries of the key, newest first; empty if it has none.
   * @param listed their digests, if the caller has just listed them
   */
  entries(key: Key, listed?: readonly Digest[]): Promise<readonly StoredEntry[]>;
  /** The digests of the key's entries, in no order, without reading them. */
  digests(key: Key): Promise<readonly Digest[]>;
  /** An entry, read and checked; undefined if it is missing. @throws CacheError `damaged`, `storage` */
  entry(key: Key, digest: Digest): Promise<StoredEntry | undefined>;
  /**
   * Adds an entry to the key; does nothing if the same pair exists. When it resolves, the entry and its blob, if it is
   * here, survive a loss of power, new or not.
   * @param received when another store received the copied entry: sets its position, but never in the future, because
   * the time is unverified. By default the entry becomes the newest.
   * @returns whether the entry is new
   * @throws CacheError `key-mismatch`
   */
  add(key: Key, entry: VerifiedEntry, received?: Date): Promise<boolean>;
  /**
   * Makes an existing entry and its blob survive a loss of power, as `add` does.
   * @returns whether the entry is there
   */
  keep(key: Key, entry: Pick<UnverifiedEntry, 'digest' | 'sha512'>): Promise<boolean>;
  /** Names of all entries, without reading them; grouped by key, otherwise in no order. */
  list(): AsyncIterable<{ readonly key: Key; readonly digest: Digest }>;
  /** All keys with an entry, each once, in no order, without reading entries. */
  keys(): AsyncIterable<Key>;
  remove(key: Key, digest: Digest): Promise<boolean>;
}

/** An entry read from a store; unverified, because a store may come from elsewhere. */
export interface StoredEntry extends UnverifiedEntry {
  /** When this store received it. */
  readonly received: Date;
}

/**
 * The object of an entry: the pair and the time of receipt. The name covers the pair and `check` the time, so that
 * every flipped bit shows; old stores have no `check`.
 */
const storedEntry = z.strictObject({
  received: z.iso.datetime(),
  entry: z.unknown().optional(),
  check: z.string().optional(),
});

/** The last millisecond with a year of four digits, the longest that `storedEntry` reads. */
const LAST_DATE = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Entries of a key that are read at a time: each is a request if the store is in a bucket. */
const READS = 16;

export interface DirectoryOptions {
  /** Called for every unreadable entry; the other entries of its key are still served. */
  readonly onDamage?: (key: Key, digest: Digest, error: CacheError) => void;
  readonly now?: () => number;
}

export function createDirectory(
  storage: ObjectStorage,
  { onDamage = () => undefined, now = Date.now }: DirectoryOptions = {},
): Directory {
  const entry = async (key: Key, digest: Digest): Promise<StoredEntry | undefined> => {
    const name = entriesPrefix(key) + digest;
    const text = await readSmallObject(storage, name, ENTRY_SIZE_LIMIT + 1024);
    return text === undefined ? undefined : parseStoredEntry(text, key, digest, name);
  };

  const digests = async (key: Key): Promise<readonly Digest[]> => {
    const found: Digest[] = [];
    for await (const name of storage.list(entriesPrefix(key))) {
      const digest = parseEntryName(name)?.digest;
      if (digest !== undefined) found.push(digest);
    }
    return found;
  };

  const entries: Directory['entries'] = async (key, listed) => {
    const found: StoredEntry[] = [];
    const damaged: CacheError[] = [];
    const names = listed ?? (await digests(key));
    for (let start = 0; start < names.length; start += READS) {
      const some = names.slice(start, start + READS);
      const read = await Promise.allSettled(some.map((digest) => entry(key, digest)));
      for (const [index, result] of read.entries()) {
        if (result.status === 'fulfilled') {
          if (result.value !== undefined) found.push(result.value);
          continue;
        }
        const error: unknown = result.reason;
        const digest = some[index];
        if (!isDamage(error) || digest === undefined) throw error;
        onDamage(key, digest, error);
        damaged.push(error);
      }
    }
    // An empty list would make a node compile for hours, so it throws if every entry is damaged.
    if (found.length === 0 && damaged[0] !== undefined) throw new DamagedKey(damaged[0]);
    return found.sort(newestFirst);
  };

  const keep: Directory['keep'] = async (key, { digest, sha512 }) => {
    // The caller may only have checked that the blob exists.
    await storage.ensureDurable(blobName(sha512));
    return storage.ensureDurable(entriesPrefix(key) + digest);
  };

  /** Whether the entry is undamaged, and survives a loss of power. */
  const isThere = async (key: Key, digest: Digest): Promise<boolean> =>
    (await isIntact(entry(key, digest))) && storage.ensureDurable(entriesPrefix(key) + digest);

  const nextReceived = async (key: Key): Promise<Date> => {
    // The last entry is the newest, even if the clock is wrong, as it often is without a network.
    const [newest] = await entries(key).catch(noneIfDamaged);
    const next = Math.max(now(), newest === undefined ? 0 : newest.received.getTime() + 1);
    return new Date(Math.min(next, LAST_DATE));
  };

  async function* list(): AsyncGenerator<{ readonly key: Key; readonly digest: Digest }> {
    for await (const name of storage.list(DIRECTORY)) {
      const parsed = parseEntryName(name);
      if (parsed !== undefined) yield parsed;
    }
  }

  return {
    entries,
    digests,
    entry,
    list,
    keep,
    async add(key, added, copied) {
      checkBinding(key, added);
      const name = entriesPrefix(key) + added.digest;
      await storage.ensureDurable(blobName(added.sha512));
      if (await isThere(key, added.digest)) return false;
      const next = await nextReceived(key);
      const received = copied !== undefined && copied < next ? copied : next;
      const check = checkOf(received.toISOString(), added.digest);
      const text = JSON.stringify({ received, entry: added.pair, check });
      if (await addSmallObject(storage, name, text)) return true;
      // Another writer of the same pair was first: its time counts, or this entry would overtake those in between.
      if (await isThere(key, added.digest)) return false;
      await writeSmallObject(storage, name, text);
      return true;
    },
    async *keys() {
      let last: Key | undefined;
      for await (const { key } of list()) {
        if (key !== last) yield key;
        last = key;
      }
    },
    remove: (key, digest) => storage.remove(entriesPrefix(key) + digest),
  };
}

/** All entries of a key are damaged, by the fault of the first. */
class DamagedKey extends CacheError {
  constructor({ message, cause }: CacheError) {
    super('damaged', message, { cause });
  }
}

/**
 * Replaces the error by an empty list if all entries of a key are damaged; `onDamage` has reported each entry. A key whose
 * entries can't be listed may have sound ones.
 */
export function noneIfDamaged(error: unknown): readonly StoredEntry[] {
  if (error instanceof DamagedKey) return [];
  throw error;
}

/** Whether the entry that `Directory.entry` reads is present and undamaged. */
export async function isIntact(read: Promise<StoredEntry | undefined>): Promise<boolean> {
  try {
    return (await read) !== undefined;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/**
 * Parses the text of an entry's object.
 * @param name of the object, for messages
 * @throws DamagedObject
 */
export function parseStoredEntry(text: string, key: Key, digest: Digest, name: string): StoredEntry {
  try {
    const { received, entry, check } = storedEntry.parse(JSON.parse(text));
    const stored = { ...parseEntry(entry), received: new Date(received) };
    if (stored.digest !== digest)
      throw new CacheError('invalid-entry', 'its content does not match its name');
    if (check !== undefined && check !== checkOf(received, digest))
      throw new CacheError('invalid-entry', 'the time that it tells was changed');
    checkBinding(key, stored);
    return stored;
  } catch (error) {
    throwProgrammingError(error);
    throw new DamagedObject(
      name,
      error instanceof CacheError ? error.message : 'it is not what was written',
      error,
    );
  }
}

/** Detects faults of the disk, not forgery. */
function checkOf(received: string, digest: Digest): string {
  return digestOf(`${received} ${digest}`).slice(0, 16);
}

/** Orders a key's entries; of entries with the same time, the entry signed last comes first. */
export function newestFirst(a: StoredEntry, b: StoredEntry): number {
  return (
    b.received.getTime() - a.received.getTime() ||
    (madeAt(b) ?? 0) - (madeAt(a) ?? 0) ||
    (a.digest < b.digest ? -1 : 1)
  );
}
