import type { Digest } from './digest.ts';
import type { EntryPair, UnverifiedEntry } from './entry.ts';
import type { Key } from './key.ts';
import { readPieces } from './object-pieces.ts';
import type { ObjectStorage } from './object-storage.ts';
import type { Store } from './store.ts';

/** An entry as a source has it. A store tells when it received it, another cache doesn't. */
export type SourceEntry = UnverifiedEntry & { readonly received?: Date };

/** Whatever has entries: a store, or another cache over HTTP. */
export interface EntrySource {
  /** The entries of a key, newest first; empty when it has none. */
  entries(key: Key): Promise<readonly SourceEntry[]>;
  /** Bytes of a blob, undefined when it isn't there. */
  blobSize(digest: Digest): Promise<number | undefined>;
}

/** Whatever releases can be copied from: a store, a medium, another cache over HTTP. Nobody has verified what it gives. */
export interface Source extends EntrySource {
  /** Its folder or URL, for messages. */
  readonly name: string;
  /** All keys that it has entries of, each once, in no order. @throws CacheError `not-found` when it doesn't tell */
  keys(): AsyncIterable<Key>;
  /** The bytes of a blob, undefined when it isn't there. A piece is valid until the next is asked for. */
  openBlob(digest: Digest): Promise<SourceBlob | undefined>;
  /**
   * Called before an entry of the source is added to a store, or after a blob was: a medium is remembered there, so that no
   * older one passes for the newest afterwards.
   */
  arriveIn?(storage: ObjectStorage): Promise<void>;
}

export interface SourceBlob {
  /** Bytes; undefined when the source doesn't tell. */
  readonly size: number | undefined;
  /** To be iterated once at most. */
  readonly pieces: AsyncIterable<Uint8Array>;
  /** To be called once, always. */
  close(): Promise<void>;
}

/** A running cache that takes uploads. */
export interface UploadTarget extends Source {
  /** @param open is asked for the bytes, once for each try */
  putBlob(digest: Digest, open: () => Promise<SourceBlob>): Promise<void>;
  /** Adds an entry, as the newest of its key. */
  putEntry(key: Key, pair: EntryPair): Promise<void>;
}

/** A store as a source. */
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
