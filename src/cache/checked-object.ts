import type { Digest } from './digest.ts';
import { openHasher, type HashThreads } from './hash-threads.ts';
import { blobName } from './layout.ts';
import type { OpenObject } from './object-storage.ts';
import { DamagedObject } from './small-object.ts';

/** A blob that is read once, in order. Close it, and the object that it reads. */
export interface CheckedObject extends Pick<OpenObject, 'size' | 'read'> {
  close(): void;
}

/**
 * Reads a blob whose last bytes come only if all have the sha512 of its name, so that no answer with a wrong byte is
 * complete. `read` throws DamagedObject instead of the last bytes.
 * @param threads hash large blobs, so that others are answered meanwhile
 */
export function checkedObject(object: OpenObject, digest: Digest, threads?: HashThreads): CheckedObject {
  const hasher = openHasher(threads, object.size);
  let end = 0;
  return {
    size: object.size,
    async read(into, position) {
      if (position !== end) throw new Error('a checked object is read in order');
      let count = 0;
      // A network brings small pieces.
      for (let more = -1; more !== 0 && count < into.byteLength; count += more)
        more = await object.read(into.subarray(count), position + count);
      await hasher.update([into.subarray(0, count)]);
      end += count;
      if (count > 0 && end === object.size && (await hasher.digest()) !== digest)
        throw new DamagedObject(
          blobName(digest),
          'its bytes have another sha512; cache verify --deep looks for more',
        );
      return count;
    },
    close: () => {
      hasher.close();
    },
  };
}
