import { LRUCache } from 'lru-cache';
import { CacheError } from '../cache/errors.ts';
import type { Digest } from '../cache/digest.ts';
import type { HashThreads } from '../cache/hash-threads.ts';
import { digestOfBlobName } from '../cache/layout.ts';
import type { LocalCacheCounts } from '../cache/store.ts';
import type { ObjectStat, ObjectStorage, OpenObject } from '../cache/object-storage.ts';
import { openLocalFolder, type Fill, type LocalFolderOptions } from './local-folder.ts';

/** A storage with a local cache in front of it. */
export interface CachedStorage extends ObjectStorage {
  readonly counts: LocalCacheCounts;
}

/** Milliseconds for which a blob that was there counts as there: a removed one may be served so long. */
const FRESH_MS = 900;
const MOST_KNOWN = 10_000;

/**
 * Reads blobs through a folder, which a blob enters while it is read from its first byte to its last. The storage says
 * whether a blob is there; other objects, ranges and small blobs come from it. A fault of the folder never fails a read.
 * @throws CacheError `config`: something else is in the folder
 */
export async function createLocalCache(
  inner: ObjectStorage,
  options: LocalFolderOptions,
  threads?: HashThreads,
): Promise<CachedStorage> {
  const folder = await openLocalFolder(options, threads);
  const counts = { hits: 0, misses: 0 };
  const present = new LRUCache<string, ObjectStat>({ max: MOST_KNOWN, ttl: FRESH_MS });

  const statOnce = async (name: string): Promise<ObjectStat | undefined> => {
    const known = present.get(name);
    if (known !== undefined) return known;
    const stat = await inner.stat(name);
    if (stat !== undefined) present.set(name, stat);
    return stat;
  };

  /** @returns undefined unless the copy is that of an object which is there */
  const openCopy = async (name: string, digest: Digest): Promise<OpenObject | undefined> => {
    const file = await folder.open(digest);
    if (file === undefined) return undefined;
    let isGood = false;
    try {
      const stat = await statOnce(name);
      isGood = stat?.size === file.size;
      if (stat !== undefined && isGood) return copyOf(file, stat, name, digest);
    } finally {
      if (!isGood) await file.close();
    }
    await folder.remove(digest);
    return undefined;
  };

  /** Goes on in the storage after a fault of the file. */
  const copyOf = (file: OpenObject, stat: ObjectStat, name: string, digest: Digest): OpenObject => {
    let original: Promise<OpenObject> | undefined;
    const open = async (fault: unknown): Promise<OpenObject> => {
      await folder.discard(digest, fault);
      const opened = await inner.open(name);
      if (opened?.size === stat.size) return opened;
      await opened?.close();
      throw new CacheError('unavailable', `${name} was removed while it was read; read it again`);
    };
    return {
      ...stat,
      async read(into, position) {
        if (original === undefined) {
          try {
            const count = await file.read(into, position);
            if (count > 0 || position >= stat.size || into.byteLength === 0) return count;
            throw new CacheError('damaged', `the copy of ${name} ends at byte ${position}`);
          } catch (error) {
            original ??= open(error);
          }
        }
        return (await original).read(into, position);
      },
      async close() {
        await file.close();
        await (await original?.catch(() => undefined))?.close();
      },
    };
  };

  return {
    ...inner,
    counts,

    async open(name) {
      const digest = digestOfBlobName(name);
      if (digest === undefined) return inner.open(name);
      const copy = await openCopy(name, digest);
      if (copy !== undefined) {
        counts.hits++;
        return copy;
      }
      const object = await inner.open(name);
      if (object === undefined) return undefined;
      counts.misses++;
      const fill = folder.fill(digest, object.size);
      return fill === undefined ? object : filling(object, fill);
    },

    async remove(name) {
      present.delete(name);
      const wasThere = await inner.remove(name);
      const digest = digestOfBlobName(name);
      if (digest !== undefined) await folder.remove(digest);
      return wasThere;
    },
  };
}

/** Gives what is read in order to a fill. */
function filling(object: OpenObject, fill: Fill): OpenObject {
  let end: number | undefined = 0;
  return {
    ...object,
    async read(into, position) {
      const count = await object.read(into, position);
      if (end === position) {
        end += count;
        await fill.add(into.subarray(0, count));
      } else end = undefined;
      return count;
    },
    async close() {
      try {
        await object.close();
      } finally {
        await fill.end();
      }
    },
  };
}
