import { CacheError } from '../../cache/errors.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { readPieces } from '../../cache/object-pieces.ts';
import { STORE_FOLDER } from './manifest.ts';

/**
 * The bytes of objects of a medium's store, one after the other. A piece is valid until the next is requested.
 * @throws CacheError `invalid-medium`: an object can't be read, which concerns this blob only
 */
export async function* readBlobPieces(
  { objects }: { readonly objects: readonly string[] },
  storage: ObjectStorage,
): AsyncGenerator<Uint8Array> {
  for (const name of objects) {
    try {
      const object = await storage.open(name);
      if (object === undefined) throw new CacheError('storage', 'it is gone');
      try {
        yield* readPieces(object);
      } finally {
        await object.close();
      }
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      throw new CacheError('invalid-medium', `${STORE_FOLDER}/${name}: ${error.message}`, { cause: error });
    }
  }
}
