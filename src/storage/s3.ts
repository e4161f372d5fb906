import type { ObjectStorage } from '../cache/object-storage.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { openS3Object } from './s3-reader.ts';
import { createS3Writer } from './s3-writer.ts';

/**
 * Keeps objects in a bucket, under the names that a folder has. An object is visible when its request, or its upload in
 * parts, is complete, and then durable.
 *
 * An open object of more than 320 KiB that is replaced or removed can't be read on: its read fails with `unavailable`, and
 * never mixes the bytes of two objects.
 * @param checkIsThere rejects if the store is missing: then a miss doesn't count
 */
export function createS3Storage(bucket: S3Bucket, checkIsThere: () => Promise<void>): ObjectStorage {
  const unlessMissing = async <T>(found: T | undefined): Promise<T | undefined> => {
    if (found === undefined) await checkIsThere();
    return found;
  };

  const stat: ObjectStorage['stat'] = async (name) => {
    const found = await unlessMissing(await bucket.head(name));
    return found && { size: found.size, modified: found.modified };
  };

  return {
    stat,

    open: async (name) => unlessMissing(await openS3Object(bucket, name)),

    // An object store does not tell its free room.
    create: (size) => Promise.resolve().then(() => createS3Writer(bucket, size)),

    async *list(prefix) {
      let isEmpty = true;
      for await (const name of bucket.list(prefix)) {
        isEmpty = false;
        yield name;
      }
      if (isEmpty) await checkIsThere();
    },

    ensureDurable: async (name) => (await stat(name)) !== undefined,

    async remove(name) {
      if ((await stat(name)) === undefined) return false;
      await bucket.remove(name);
      return true;
    },
  };
}
