import { createHasher, type Digest } from '../cache/digest.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import { DamagedObject } from '../cache/small-object.ts';
import { blobName } from '../cache/layout.ts';

/**
 * A blob that is read once, in order. Its last bytes come only if all have the sha512 of its name, so that no answer with a
 * wrong byte is complete.
 * @throws DamagedObject instead of the last bytes
 */
export function checkedObject(object: OpenObject, digest: Digest): Pick<OpenObject, 'size' | 'read'> {
  const hasher = createHasher();
  let end = 0;
  return {
    size: object.size,
    async read(into, position) {
      if (position !== end) throw new Error('a checked object is read in order');
      const count = await object.read(into, position);
      hasher.update(into.subarray(0, count));
      end += count;
      if (count > 0 && end === object.size && hasher.digest() !== digest)
        throw new DamagedObject(
          blobName(digest),
          'its bytes have another sha512; cache verify --deep looks for more',
        );
      return count;
    },
  };
}
