import { LRUCache } from 'lru-cache';
import type { Blobs } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';

/** The sizes of readable blobs, for requests without a body in the answer. */
export interface BlobSizes {
  /** Bytes of the blob, at once if checked recently; undefined if the store doesn't have it. */
  get(digest: Digest): number | Promise<number | undefined>;
  /** Call it after the blob was written again. */
  forget(digest: Digest): void;
}

interface KnownSize {
  readonly size: number;
  /** Checked again after this time, milliseconds of `performance.now()`. */
  readonly freshUntil: number;
}

/** A removed blob may be reported for this time. */
const FRESH_MS = 900;
const LIMIT = 10_000;

/** Never remembers a miss: the blob may be uploaded a moment later. */
export function createBlobSizes(blobs: Blobs): BlobSizes {
  const sizes = new LRUCache<Digest, KnownSize>({ max: LIMIT });

  const look = async (digest: Digest): Promise<number | undefined> => {
    // A fault also forgets the known size.
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

/** Reads the first byte: HEAD must not succeed where GET would fail. @throws CacheError `storage` */
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
