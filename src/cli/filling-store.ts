import { CacheError } from '../cache/errors.ts';
import type { Store } from './site.ts';

/**
 * A store that is being filled for the first time, for a server: what isn't there may be about to come, and a miss would
 * make nodes compile for hours. So it's an error meanwhile.
 */
export function withoutMisses(
  { blobs, directory }: Pick<Store, 'blobs' | 'directory'>,
  isFilling: () => boolean,
): Pick<Store, 'blobs' | 'directory'> {
  const found = <T>(value: T, isMiss: boolean): T => {
    if (isMiss && isFilling())
      throw new CacheError('unavailable', 'the first import into the store is still running');
    return value;
  };
  const unlessUndefined = async <T>(value: Promise<T>): Promise<T> => {
    const result = await value;
    return found(result, result === undefined);
  };
  const unlessEmpty = async <T>(list: Promise<readonly T[]>): Promise<readonly T[]> => {
    const result = await list;
    return found(result, result.length === 0);
  };
  return {
    blobs: {
      ...blobs,
      stat: (digest) => unlessUndefined(blobs.stat(digest)),
      open: (digest) => unlessUndefined(blobs.open(digest)),
    },
    directory: {
      ...directory,
      entries: (key) => unlessEmpty(directory.entries(key)),
      digests: (key) => unlessEmpty(directory.digests(key)),
    },
  };
}
