import { checkedObject, type CheckedObject } from './checked-object.ts';
import type { Digest } from './digest.ts';
import { CacheError, isDamage } from './errors.ts';
import { openHasher, type HashThreads } from './hash-threads.ts';
import { BLOBS, blobName, digestOfBlobName } from './layout.ts';
import type { ObjectStat, ObjectStorage, OpenObject } from './object-storage.ts';

/** ShaCache: immutable bytes, named by their sha512. */
export interface Blobs {
  stat(digest: Digest): Promise<ObjectStat | undefined>;
  /** Bytes; undefined if the blob is missing, or damaged so that it can't be looked at: it needs to be copied again. */
  size(digest: Digest): Promise<number | undefined>;
  open(digest: Digest): Promise<OpenObject | undefined>;
  /** Compares the bytes of an open blob with its digest while they are read: see `checkedObject`. */
  checked(digest: Digest, object: OpenObject): CheckedObject;
  /** @throws CacheError `no-space` if `size` is known and doesn't fit */
  create(announced?: {
    readonly digest?: Digest | undefined;
    readonly size?: number | undefined;
    /** The client that uploads the blob: see `ObjectStorage.create`. */
    readonly holder?: string | undefined;
  }): Promise<BlobWriter>;
  /** All blobs, in no order; skips other objects in their folder. */
  list(): AsyncIterable<Digest>;
  remove(digest: Digest): Promise<boolean>;
}

export interface BlobWriter {
  /**
   * Hashes and writes chunks; many small chunks are best written at once. Resolves when the chunks may be reused.
   * @throws CacheError `incomplete`: more bytes than announced
   */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Makes the blob visible if its bytes match the announcement. Replaces an existing blob, whose bytes may have gone
   * bad on the disk.
   * @throws CacheError `digest-mismatch`, `incomplete`; then nothing is left of the blob
   */
  commit(): Promise<{ readonly digest: Digest; readonly size: number }>;
  /** Discards the written bytes; does nothing after `commit`. */
  abort(): Promise<void>;
}

/** @param threads hash large blobs; without them the calling thread hashes all blobs */
export function createBlobs(storage: ObjectStorage, threads?: HashThreads): Blobs {
  return {
    stat: (digest) => storage.stat(blobName(digest)),
    async size(digest) {
      try {
        return (await storage.stat(blobName(digest)))?.size;
      } catch (error) {
        if (!isDamage(error)) throw error;
        return undefined;
      }
    },
    open: (digest) => storage.open(blobName(digest)),
    checked: (digest, object) => checkedObject(object, digest, threads),
    async create({ digest: announced, size: announcedSize, holder } = {}) {
      const writer = await storage.create(announcedSize, holder);
      const hasher = openHasher(threads, announcedSize);
      let size = 0;
      const abort = async (): Promise<void> => {
        hasher.close();
        await writer.abort();
      };
      return {
        async write(chunks) {
          for (const chunk of chunks) size += chunk.byteLength;
          // An endless upload must not fill the disk.
          if (announcedSize !== undefined && size > announcedSize) {
            const what = `more than the ${announcedSize} bytes that were announced came`;
            throw new CacheError('incomplete', what);
          }
          // Hashes while the disk works: both only read the chunks.
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
