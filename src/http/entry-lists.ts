import { LRUCache } from 'lru-cache';
import { createHash } from 'node:crypto';
import type { Digest } from '../cache/digest.ts';
import type { Directory, StoredEntry } from '../cache/directory.ts';
import type { Key } from '../cache/key.ts';

/** The answer to `GET /bdir/<key>`, ready to be sent. */
export interface EntryList {
  /** As text: node then sends it in one piece with the head, which is a third faster than head and bytes. */
  readonly body: string;
  readonly etag: string;
  /** Of an answer with the body. */
  readonly headers: Record<string, string>;
}

/** The entry lists of keys as ready bytes, as many as fit. */
export interface EntryLists {
  /** At once while the list is fresh, as a promise otherwise; undefined when the key has no entry. */
  get(key: Key): EntryList | Promise<EntryList | undefined>;
  /** To be called after an entry of the key was added here: the next answer has it. */
  forget(key: Key): void;
}

interface RememberedList extends EntryList {
  /** Names of the entries in the list, sorted. Entries are never modified: the same names are the same list. */
  readonly names: string;
  /** Looked at again after this time, milliseconds of `performance.now()`. */
  freshUntil: number;
}

/** What other processes add to the store shows after this time at the latest; the promise to users is a second. */
const FRESH_MS = 900;
/** Memory for lists, in bytes: about 50 000 keys. */
const SIZE_LIMIT = 64 * 1024 * 1024;

/**
 * A list is built from its entries once; later only their names are compared, which is one system call. "There is none"
 * is never remembered: an entry that was just imported must not be hidden by it.
 */
export function createEntryLists(directory: Directory): EntryLists {
  const lists = new LRUCache<Key, RememberedList>({
    maxSize: SIZE_LIMIT,
    sizeCalculation: ({ body, names }) => body.length + names.length + 512,
  });

  let additions = 0;

  const look = async (key: Key): Promise<EntryList | undefined> => {
    const remembered = lists.get(key);
    const additionsBefore = additions;
    const freshUntil = performance.now() + FRESH_MS;
    const names = namesOf(await directory.digests(key));
    if (remembered !== undefined && remembered.names === names && additions === additionsBefore) {
      remembered.freshUntil = Math.max(remembered.freshUntil, freshUntil);
      return remembered;
    }
    const entries = names === '' ? [] : await directory.entries(key);
    if (entries.length === 0) {
      lists.delete(key);
      return undefined;
    }
    const list = listOf(entries);
    // Only what was read whole is remembered: an entry may have come, or failed to be read, in between.
    const isWhole = namesOf(entries.map(({ digest }) => digest)) === names;
    // Who looked later may have seen more: what it found is not replaced by what this one found.
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
