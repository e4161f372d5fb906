import { LRUCache } from 'lru-cache';
import type { Blobs } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';

/** Which blobs are there and can be read, and how large they are, for requests that want no bytes. */
export interface BlobSizes {
  /** Bytes of the blob: at once when it was looked at lately; undefined when it isn't there. */
  get(digest: Digest): number | Promise<number | undefined>;
  /** To be called after the blob was written anew. */
  forget(digest: Digest): void;
}

interface KnownSize {
  readonly size: number;
  /** Looked at again after this time, milliseconds of `performance.now()`. */
  readonly freshUntil: number;
}

/** A blob that is removed seems to be there for this long at the most. */
const FRESH_MS = 900;
const LIMIT = 10_000;

/** "It isn't there" is never remembered: it may be uploaded a moment later. */
export function createBlobSizes(blobs: Blobs): BlobSizes {
  const sizes = new LRUCache<Digest, KnownSize>({ max: LIMIT });

  const look = async (digest: Digest): Promise<number | undefined> => {
    // A fault is not remembered, nor is what was known before it.
    sizes.delete(digest);
    const size = await readableSize(blobs, digest);
    if (size !== undefined) sizes.set(digest, { size, freshUntil: performance.now() + FRESH_MS });
    return size;
  };

  return {
    get(digest) {
      const known = sizes.get(digest);
      return known !== undefined && performance.now() < known.freshUntil ? known.size : look(digest);
    },
    forget: (digest) => void sizes.delete(digest),
  };
}

/** HEAD must not promise what GET can't give: the first byte is read. @throws CacheError `storage` */
async function readableSize(blobs: Blobs, digest: Digest): Promise<number | undefined> {
  const object = await blobs.open(digest);
  if (object === undefined) return undefined;
  try {
    if (object.size > 0) await object.read(new Uint8Array(1), 0);
    return object.size;
  } finally {
    await object.close();
  }
}
