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
import { DamagedObject, readSmallObject, writeSmallObject } from './small-object.ts';

/** ShaDir: which entries a key has. */
export interface Directory {
  /** All entries of the key, newest first; empty when there is none. */
  entries(key: Key): Promise<readonly StoredEntry[]>;
  /** The digests of the key's entries, in no order, without reading them. */
  digests(key: Key): Promise<readonly Digest[]>;
  /** One entry, read and checked; undefined when it isn't there. @throws CacheError `storage` when it is damaged */
  entry(key: Key, digest: Digest): Promise<StoredEntry | undefined>;
  /**
   * Adds an entry to those of the key. The same pair again changes nothing. When it resolves, the entry survives a loss of
   * power, and so does the blob that it names, if it is here: whether they are new or were found.
   * @param received when another store received it, for an entry that is copied: it keeps its place among the others,
   * but comes from no later than now: nobody knows who wrote a time. Without, it becomes the newest.
   * @returns whether it is new
   * @throws CacheError `key-mismatch`
   */
  add(key: Key, entry: VerifiedEntry, received?: Date): Promise<boolean>;
  /**
   * For who found an entry that needn't be added: makes sure that it and its blob survive a loss of power, as `add` does.
   * @returns whether the entry is there
   */
  keep(key: Key, entry: Pick<UnverifiedEntry, 'digest' | 'sha512'>): Promise<boolean>;
  /** Names of all entries, in no order but those of a key together, without reading them. */
  list(): AsyncIterable<{ readonly key: Key; readonly digest: Digest }>;
  /** All keys that have an entry, each once, in no order, without reading any. */
  keys(): AsyncIterable<Key>;
  remove(key: Key, digest: Digest): Promise<boolean>;
}

/** An entry as read from a store. A store may come from elsewhere: nobody has verified it since. */
export interface StoredEntry extends UnverifiedEntry {
  /** When this store received it. */
  readonly received: Date;
}

/**
 * The object of an entry: the pair, and when it came. Two stores merge by copying these. The name covers the pair; so
 * that no flipped bit goes unseen, `check` covers the time, and there is nothing else. Old stores have no `check`.
 */
const storedEntry = z.strictObject({
  received: z.iso.datetime(),
  entry: z.unknown().optional(),
  check: z.string().optional(),
});

/** The last millisecond that is written with a year of four digits, which is all that `storedEntry` reads. */
const LAST_DATE = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

export interface DirectoryOptions {
  /** Told of every entry that can't be read; the others of its key are still served. */
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

  const entries = async (key: Key): Promise<readonly StoredEntry[]> => {
    const found: StoredEntry[] = [];
    const damaged: CacheError[] = [];
    for (const digest of await digests(key)) {
      try {
        const stored = await entry(key, digest);
        if (stored !== undefined) found.push(stored);
      } catch (error) {
        if (!isDamage(error)) throw error;
        onDamage(key, digest, error);
        damaged.push(error);
      }
    }
    // "There is none" would make a node compile for hours: with nothing but damage, the damage is the answer.
    if (found.length === 0 && damaged[0] !== undefined) throw damaged[0];
    return found.sort(newestFirst);
  };

  const keep: Directory['keep'] = async (key, { digest, sha512 }) => {
    // Whoever uploads or copies an entry may only have looked whether its blob is here.
    await storage.ensureDurable(blobName(sha512));
    return storage.ensureDurable(entriesPrefix(key) + digest);
  };

  const nextReceived = async (key: Key): Promise<Date> => {
    // Machines without network often have a wrong clock; the entry that came last is the newest all the same.
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
      if ((await isIntact(entry(key, added.digest))) && (await storage.ensureDurable(name))) return false;
      const next = await nextReceived(key);
      const received = copied !== undefined && copied < next ? copied : next;
      const check = checkOf(received.toISOString(), added.digest);
      await writeSmallObject(storage, name, JSON.stringify({ received, entry: added.pair, check }));
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

/** For whoever goes on without the entries of a key when all of them are damaged; `onDamage` was told of each. */
export function noneIfDamaged(error: unknown): readonly StoredEntry[] {
  if (isDamage(error)) return [];
  throw error;
}

/** Whether an entry that is being read (`Directory.entry`) is there and as it was written. */
export async function isIntact(read: Promise<StoredEntry | undefined>): Promise<boolean> {
  try {
    return (await read) !== undefined;
  } catch (error) {
    if (isDamage(error)) return false;
    throw error;
  }
}

/**
 * The text of an entry's object.
 * @param name of the object, for messages
 * @throws CacheError `storage`: it is damaged
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

/** Against the disk, not against people: a name and a signature are what those would have to forge. */
function checkOf(received: string, digest: Digest): string {
  return digestOf(`${received} ${digest}`).slice(0, 16);
}

/** The order of a key's entries. Several can have got one place: before what is newer; then the one made last is first. */
export function newestFirst(a: StoredEntry, b: StoredEntry): number {
  return (
    b.received.getTime() - a.received.getTime() ||
    (madeAt(b) ?? 0) - (madeAt(a) ?? 0) ||
    (a.digest < b.digest ? -1 : 1)
  );
}
