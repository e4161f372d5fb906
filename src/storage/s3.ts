import { CacheError } from '../cache/errors.ts';
import type { ObjectStorage, ObjectWriter } from '../cache/object-storage.ts';
import type { S3Bucket } from './s3-bucket.ts';
import { openS3Object } from './s3-reader.ts';
import { createS3Writer } from './s3-writer.ts';

/** Unfinished uploads of clients; each may take 64 MiB of memory. One client may have half of them. */
const MOST_UPLOADS = 64;

/**
 * Keeps objects in a bucket, under the names that a folder has. An object is visible when its request, or its upload in
 * parts, is complete, and then durable.
 *
 * An open object of more than 320 KiB that is replaced or removed can't be read on: its read fails with `unavailable`, and
 * never mixes the bytes of two objects.
 * @param checkIsThere rejects if the store is missing: then a miss doesn't count
 */
export function createS3Storage(bucket: S3Bucket, checkIsThere: () => Promise<void>): ObjectStorage {
  const enter = createPlaces();
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
    create: (size, holder) =>
      Promise.resolve().then(() => {
        const writer = createS3Writer(bucket, size);
        return holder === undefined ? writer : endingWith(writer, enter(holder));
      }),

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

/** Gives each unfinished upload a place. @returns a function that takes one, and returns another that gives it back */
function createPlaces(): (holder: string) => () => void {
  const taken = new Map<string, number>();
  let all = 0;
  return (holder) => {
    const own = taken.get(holder) ?? 0;
    if (own >= MOST_UPLOADS / 2)
      throw new CacheError('too-many', `${own} uploads of this client are not finished; try again later`);
    if (all >= MOST_UPLOADS)
      throw new CacheError('too-many', `${all} uploads are not finished; try again later`);
    taken.set(holder, own + 1);
    all++;
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      all--;
      const left = (taken.get(holder) ?? 1) - 1;
      if (left > 0) taken.set(holder, left);
      else taken.delete(holder);
    };
  };
}

/** Calls `end` after the writer has committed or aborted. */
function endingWith(writer: ObjectWriter, end: () => void): ObjectWriter {
  return {
    ...writer,
    async commit(name) {
      await writer.commit(name);
      end();
    },
    async commitNew(name) {
      const isNew = await writer.commitNew(name);
      end();
      return isNew;
    },
    async abort() {
      await writer.abort().finally(end);
    },
  };
}
