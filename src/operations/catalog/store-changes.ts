import { isDigest, type Digest } from '../../cache/digest.ts';
import { isDamage } from '../../cache/errors.ts';
import { createGivingWay } from '../../cache/give-way.ts';
import { isKey, type Key } from '../../cache/key.ts';
import { BLOBS, DIRECTORY, LOG, parseKeyFolder, parseRecordName } from '../../cache/layout.ts';
import type { Store } from '../../cache/store.ts';

/** What others have changed in a store, as far as a few names tell. */
export interface StoreChanges {
  /** Records from now on are new. */
  begin(): Promise<void>;
  /** What new records of the log name. */
  records(): AsyncIterable<{ readonly key: Key | undefined; readonly sha512: Digest | undefined }>;
  /** Whether folders of keys may have come or gone since the last call. */
  areFoldersNew(): Promise<boolean>;
  /** Whether blobs may have come or gone since the last call, if a folder's time tells. */
  areBlobsNew(): Promise<boolean>;
  /** The keys of all folders, also empty ones. */
  folders(): AsyncIterable<Key>;
}

/** Milliseconds by which clocks of machines that share a store may differ; a later record is missed. */
const CLOCK_MARGIN = 600_000;
/** Milliseconds that a request may wait for a turn of the index. */
export const TURN_MS = 2;

export function createChanges({ storage, upkeep, log }: Store): StoreChanges {
  /** Names of known records, as far as a new one may be older than they are. */
  const known = new Set<string>();
  /** Milliseconds since 1970; undefined before `begin`. */
  let newest: number | undefined;

  function createFolderWatch(prefix: string): () => Promise<boolean> {
    let last: number | undefined;
    let isQuiet = false;
    return async () => {
      const modified = await upkeep.modified?.(prefix.slice(0, -1));
      const isSame = modified !== undefined && modified === last;
      // Once more: a second change may have the same time as the first one.
      const isChanged = !isSame || !isQuiet;
      isQuiet = isSame;
      last = modified;
      return isChanged;
    };
  }

  const logFolder = createFolderWatch(LOG);
  const keyFolders = createFolderWatch(DIRECTORY);
  const blobFolder = createFolderWatch(BLOBS);

  const limitNow = (): number =>
    newest === undefined ? -Infinity : Math.min(newest, Date.now()) - CLOCK_MARGIN;

  const newRecords = async (isFirst: boolean): Promise<readonly string[]> => {
    const names: string[] = [];
    const giveWay = createGivingWay(TURN_MS);
    for await (const name of storage.list(LOG)) {
      await giveWay();
      const at = parseRecordName(name)?.at;
      if (at === undefined || at <= limitNow() || known.has(name)) continue;
      newest = Math.max(newest ?? at, at);
      known.add(name);
      if (!isFirst) names.push(name);
    }
    for (const name of known) if ((parseRecordName(name)?.at ?? 0) <= limitNow()) known.delete(name);
    return names;
  };

  return {
    async begin() {
      await newRecords(true);
    },
    async *records() {
      if (!(await logFolder())) return;
      for (const name of await newRecords(false)) {
        try {
          const record = await log.read(name);
          // An export changes another place.
          if (record === undefined || record.action === 'export') continue;
          const { key, sha512 } = record;
          yield {
            key: key !== undefined && isKey(key) ? key : undefined,
            sha512: isDigest(sha512) ? sha512 : undefined,
          };
        } catch (error) {
          // The next listing finds what it told.
          if (!isDamage(error)) throw error;
        }
      }
    },
    areFoldersNew: keyFolders,
    areBlobsNew: async () => upkeep.modified !== undefined && (await blobFolder()),
    async *folders() {
      for await (const { name, type } of upkeep.list(DIRECTORY.slice(0, -1))) {
        const key = type === 'folder' ? parseKeyFolder(name) : undefined;
        if (key !== undefined) yield key;
      }
    },
  };
}
