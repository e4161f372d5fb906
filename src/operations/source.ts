import type { Blobs } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { isLoss } from '../storage/storage-error.ts';
import type { Directory } from '../cache/directory.ts';
import type { UnverifiedEntry } from '../cache/entry.ts';
import type { Key } from '../cache/key.ts';
import { readPieces } from '../cache/object-pieces.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';

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

/** A store as a source. @param name its folder */
export function sourceOfStore(
  { blobs, directory }: { readonly blobs: Blobs; readonly directory: Directory },
  name: string,
): Source {
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

/**
 * A source that tells what its disk has lost as its own fault, `incomplete`: who copies from it to another disk tells
 * the one from the other, and goes on with the rest.
 */
export function tellingLoss(source: Source): Source {
  const guarded = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read();
    } catch (error) {
      throw isLoss(error) ? new CacheError('incomplete', error.message, { cause: error }) : error;
    }
  };
  async function* guardedPieces(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const iterator = pieces[Symbol.asyncIterator]();
    try {
      for (;;) {
        const step = await guarded(() => iterator.next());
        if (step.done) return;
        yield step.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return {
    ...source,
    entries: (key) => guarded(() => source.entries(key)),
    blobSize: (digest) => guarded(() => source.blobSize(digest)),
    async openBlob(digest) {
      const blob = await guarded(() => source.openBlob(digest));
      return blob && { ...blob, pieces: guardedPieces(blob.pieces) };
    },
  };
}
