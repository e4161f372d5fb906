import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import type { Digest } from '../cache/digest.ts';
import type { Directory, StoredEntry } from '../cache/directory.ts';
import type { Key } from '../cache/key.ts';
import { createSingleFlight } from '../cache/single-flight.ts';

/** The answer to `GET /bdir/<key>`. */
export interface EntryList {
  /** As text: node then sends it in one piece with the head, which is a third faster. */
  readonly body: string;
  readonly etag: string;
  /** Headers of an answer with the body. */
  readonly headers: Record<string, string>;
}

/** A cache of entry lists. */
export interface EntryLists {
  /** The list, at once if fresh; undefined if the key has no entry. */
  get(key: Key): EntryList | Promise<EntryList | undefined>;
  /** Call it after adding an entry to the key, so that the next answer has it. */
  forget(key: Key): void;
}

interface RememberedList extends EntryList {
  /** Names of the entries in the list, sorted. Entries are never modified: the same names are the same list. */
  readonly names: string;
  /** Checked again after this time, milliseconds of `performance.now()`. */
  freshUntil: number;
}

/** Entries of other processes are visible after this time; the documented limit is a second. */
const FRESH_MS = 900;
/** Bytes of memory for lists: about 50 000 keys. */
const SIZE_LIMIT = 64 * 1024 * 1024;

/**
 * Builds each list once; later compares only the names of its entries, with one system call. Never remembers a miss, which
 * would hide a new entry.
 */
export function createEntryLists(directory: Directory): EntryLists {
  const lists = new LRUCache<Key, RememberedList>({
    maxSize: SIZE_LIMIT,
    sizeCalculation: ({ body, names }) => body.length + names.length + 512,
  });

  // Shared by simultaneous requests: a bucket must not be asked once for each. A read that hangs holds up no later listing.
  const listOnce = createSingleFlight<readonly Digest[]>();
  const readOnce = createSingleFlight<readonly StoredEntry[]>();
  let additions = 0;

  const look = async (key: Key): Promise<EntryList | undefined> => {
    const remembered = lists.get(key);
    const additionsBefore = additions;
    const freshUntil = performance.now() + FRESH_MS;
    // A listing that began before an addition may lack it.
    const digests = await listOnce(`${additionsBefore} ${key}`, () => directory.digests(key));
    const names = namesOf(digests);
    if (remembered !== undefined && remembered.names === names && additions === additionsBefore) {
      remembered.freshUntil = Math.max(remembered.freshUntil, freshUntil);
      return remembered;
    }
    const entries =
      names === '' ? [] : await readOnce(`${key}/${names}`, () => directory.entries(key, digests));
    if (entries.length === 0) {
      lists.delete(key);
      return undefined;
    }
    const list = listOf(entries);
    // Remembers complete lists only: meanwhile an entry may have been removed, or failed to be read.
    const isWhole = namesOf(entries.map(({ digest }) => digest)) === names;
    // A later look may have seen more: its list must not be replaced.
    const isLatest = (lists.peek(key)?.freshUntil ?? 0) <= freshUntil;
    if (isWhole && isLatest && additions === additionsBefore) lists.set(key, { ...list, names, freshUntil });
    return list;
  };

  return {
    get(key) {
      const remembered = lists.get(key);
      return remembered !== undefined && performance.now() < remembered.freshUntil ? remembered : look(key);
    },
    forget: (key) => {
      additions++;
      lists.delete(key);
    },
  };
}

function listOf(entries: readonly StoredEntry[]): EntryList {
  const body = JSON.stringify(entries.map(({ pair }) => pair));
  const etag = `"${createHash('sha256').update(body).digest('hex')}"`;
  return {
    body,
    etag,
    headers: {
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      ETag: etag,
      'Cache-Control': 'no-cache',
    },
  };
}

function namesOf(digests: readonly Digest[]): string {
  return [...digests].sort().join();
}
