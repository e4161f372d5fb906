import { createHasher, type Digest } from './digest.ts';
import { CacheError } from './errors.ts';
import type { HashThreads, StreamHasher } from './hash-threads.ts';
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
    /** The client on whose behalf it is written: see `ObjectStorage.create`. */
    readonly holder?: string | undefined;
  }): Promise<BlobWriter>;
  /** All blobs, in no order. Objects in their place that are none are left out. */
  list(): AsyncIterable<Digest>;
  remove(digest: Digest): Promise<boolean>;
}

export interface BlobWriter {
  /**
   * Hashes and writes. Resolves when the chunks may be reused. Many small ones are best written at once.
   * @throws CacheError `incomplete`: more than was announced
   */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Makes the blob visible, if the bytes are those that were announced. A blob of that name is replaced: the new
   * bytes are known to be right, the old ones may have gone bad on the disk.
   * @throws CacheError `digest-mismatch`, `incomplete`; then nothing is left of it
   */
  commit(): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Forgets what was written; does nothing after `commit`. */
  abort(): Promise<void>;
}

/** From this size on, a thread that hashes is worth the handing over. */
const LARGE = 4 * 1024 * 1024;

/** @param threads hash large blobs; without them everything is hashed where it is written */
export function createBlobs(storage: ObjectStorage, threads?: HashThreads): Blobs {
  const openHasher = (size: number | undefined): StreamHasher =>
    (size !== undefined && size >= LARGE ? threads?.open() : undefined) ?? hashHere();

  return {
    stat: (digest) => storage.stat(blobName(digest)),
    open: (digest) => storage.open(blobName(digest)),
    async create({ digest: announced, size: announcedSize, holder } = {}) {
      const writer = await storage.create(announcedSize, holder);
      const hasher = openHasher(announcedSize);
      let size = 0;
      const abort = async (): Promise<void> => {
        hasher.close();
        await writer.abort();
      };
      return {
        async write(chunks) {
          for (const chunk of chunks) size += chunk.byteLength;
          // Whoever goes on for ever must not fill the disk.
          if (announcedSize !== undefined && size > announcedSize) {
            const what = `more than the ${announcedSize} bytes that were announced came`;
            throw new CacheError('incomplete', what);
          }
          // Hashed while the disk works: both read the same chunks.
          const [written, hashed] = await Promise.allSettled([writer.write(chunks), hasher.update(chunks)]);
          if (written.status === 'rejected') throw written.reason;
          if (hashed.status === 'rejected') throw hashed.reason;
        },
        async commit() {
          try {
            const digest = await hasher.digest();
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
            await abort();
          }
        },
        abort,
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

function hashHere(): StreamHasher {
  const hasher = createHasher();
  return {
    update(chunks) {
      for (const chunk of chunks) hasher.update(chunk);
      return Promise.resolve();
    },
    digest: () => Promise.resolve(hasher.digest()),
    close: () => undefined,
  };
}
