import type { Digest } from './digest.ts';
import type { EntryPair, UnverifiedEntry } from './entry.ts';
import type { Key } from './key.ts';
import { readPieces } from './object-pieces.ts';
import type { ObjectStorage } from './object-storage.ts';
import type { Store } from './store.ts';

/** An entry from a source; only a store knows when it received the entry. */
export type SourceEntry = UnverifiedEntry & { readonly received?: Date };

/** Gives entries: a store, or another cache over HTTP. */
export interface EntrySource {
  /** The entries of a key, newest first; empty if it has none. */
  entries(key: Key): Promise<readonly SourceEntry[]>;
  /** Size of a blob in bytes; undefined if it is missing. */
  blobSize(digest: Digest): Promise<number | undefined>;
}

/** Gives releases to copy, unverified: a store, a medium, another cache over HTTP. */
export interface Source extends EntrySource {
  /** Its folder or URL, for messages. */
  readonly name: string;
  /** All keys that have entries, each once, in no order. @throws CacheError `not-found` if the source has no list */
  keys(): AsyncIterable<Key>;
  /** The bytes of a blob; undefined if it is missing. A piece is valid until the next piece is requested. */
  openBlob(digest: Digest): Promise<SourceBlob | undefined>;
  /**
   * Called before an entry of the source is added to a store, and after a blob is added. A medium is recorded there, so
   * that no older medium passes for the newest afterwards.
   */
  arriveIn?(storage: ObjectStorage): Promise<void>;
  /**
   * Reasons why it may not be a cache, if it had nothing that was requested: any web server answers 404.
   * @throws CacheError `unavailable`
   */
  doubts?(): Promise<readonly string[]>;
}

export interface SourceBlob {
  /** Bytes; undefined if the source doesn't know. */
  readonly size: number | undefined;
  /** To be iterated once at most. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** To be called once, always. */
  close(): Promise<void>;
}

/** A running cache that takes uploads. */
export interface UploadTarget extends Source {
  /** @param open returns the bytes, once for each attempt */
  putBlob(digest: Digest, open: () => Promise<SourceBlob>): Promise<void>;
  /** Adds an entry, as the newest of its key. */
  putEntry(key: Key, pair: EntryPair): Promise<void>;
}

export function sourceOfStore({ name, blobs, directory }: Store): Source {
  return {
    name,
    entries: (key) => directory.entries(key),
    blobSize: async (digest) => (await blobs.stat(digest))?.size,
    keys: () => directory.keys(),
    async openBlob(digest) {
      const object = await blobs.open(digest);
      if (object === undefined) return undefined;
      return { size: object.size, pieces: readPieces(object), close: () => object.close() };
    },
  };
}
