import { createHasher, type Digest } from './digest.ts';
import { CacheError } from './errors.ts';
import { BLOBS, blobName, digestOfBlobName } from './layout.ts';
import type { ObjectStat, ObjectStorage, OpenObject } from './object-storage.ts';

/** ShaCache: immutable bytes, named by their sha512. */
export interface Blobs {
  stat(digest: Digest): Promise<ObjectStat | undefined>;
  open(digest: Digest): Promise<OpenObject | undefined>;
  /** @throws CacheError `no-space` when `size` is known and doesn't fit */
  create(announced?: {
    readonly digest?: Digest | undefined;
    readonly size?: number | undefined;
  }): Promise<BlobWriter>;
  /** All blobs, in no order. Objects in their place that are none are left out. */
  list(): AsyncIterable<Digest>;
  remove(digest: Digest): Promise<boolean>;
}

export interface BlobWriter {
  /** Hashes and writes. Resolves when `chunk` may be reused. */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Makes the blob visible, if the bytes are those that were announced. A blob of that name is replaced: the new
   * bytes are known to be right, the old ones may have gone bad on the disk.
   * @throws CacheError `digest-mismatch`, `incomplete`; then nothing is left of it
   */
  commit(): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Forgets what was written; does nothing after `commit`. */
  abort(): Promise<void>;
}

export function createBlobs(storage: ObjectStorage): Blobs {
  return {
    stat: (digest) => storage.stat(blobName(digest)),
    open: (digest) => storage.open(blobName(digest)),
    async create({ digest: announced, size: announcedSize } = {}) {
      const writer = await storage.create(announcedSize);
      const hasher = createHasher();
      let size = 0;
      return {
        async write(chunk) {
          size += chunk.byteLength;
          // Hashed while the disk works: both read the same chunk.
          const written = writer.write(chunk);
          hasher.update(chunk);
          await written;
        },
        async commit() {
          try {
            const digest = hasher.digest();
            if (announcedSize !== undefined && size !== announcedSize) {
              throw new CacheError('incomplete', `${size} bytes came where ${announcedSize} were announced`);
            }
            if (announced !== undefined && digest !== announced) {
              throw new CacheError(
                'digest-mismatch',
                `the bytes have the sha512 ${digest}, not ${announced}`,
              );
            }
            await writer.commit(blobName(digest));
            return { digest, size };
          } finally {
            await writer.abort();
          }
        },
        abort: () => writer.abort(),
      };
    },
    async *list() {
      for await (const name of storage.list(BLOBS)) {
        const digest = digestOfBlobName(name);
        if (digest !== undefined) yield digest;
      }
    },
    remove: (digest) => storage.remove(blobName(digest)),
  };
}
