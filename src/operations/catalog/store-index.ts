import { setTimeout as sleep } from 'node:timers/promises';
import type { Catalog } from '../../cache/catalog.ts';
import type { Digest } from '../../cache/digest.ts';
import { newestFirst, type Directory } from '../../cache/directory.ts';
import { CacheError, isDamage, messageOf, throwProgrammingError } from '../../cache/errors.ts';
import { createGivingWay } from '../../cache/give-way.ts';
import type { Key } from '../../cache/key.ts';
import { signerNameOf, type TrustedCertificates } from '../../cache/signature.ts';
import type { Store } from '../../cache/store.ts';
import { CatalogData, type ReadEntry } from './catalog-data.ts';
import { Column } from './column.ts';
import { createCatalog } from './create-catalog.ts';
import { createChanges, TURN_MS } from './store-changes.ts';
import { createTurns } from './turns.ts';

/** What a store has, in memory. */
export interface StoreIndex {
  readonly catalog: Catalog;
  /** The store, whose changes by this process show at once. */
  readonly store: Store;
  /** How many entries no node can use, by reason. */
  readonly refused: () => CatalogData['refused'];
  /** Reads the store, and follows its changes until `stop`. */
  start(): void;
  /** Resolves when all reading has ended. */
  stop(): Promise<void>;
}

export interface StoreIndexOptions {
  /** Whose entries count. */
  readonly trusted: TrustedCertificates;
  /** Most entries, and most blobs. */
  readonly limit?: number;
  /** Receives an error of the store, once until it can be read again, and the reason when the index is given up. */
  readonly onFault: (message: string) => void;
}

/** A million entries take about 400 MiB. */
const LIMIT = 1_000_000;
/** Bytes of all texts, such as URLs: three times as much as of a million usual ones. */
const TEXT_LIMIT = 300 * 1024 * 1024;
/** Milliseconds between two looks at what other processes have changed. */
const LOOK_MS = 1000;
/** Milliseconds of each second in which a known store is listed again. */
const SHARE_MS = 20;
/** Milliseconds between two looks, as a multiple of the time that a look takes. */
const LOOK_FACTOR = 10;
/** Milliseconds before the store is listed again after a fault. */
const MOST_PAUSE_MS = 60_000;
/** Keys that are read at the same time at first. More would delay lookups. */
const READERS = 4;

/**
 * Creates the index of a store; see "The index" in docs/design.md. A change of this process is read before it is answered;
 * changes of others by their records in `log/`, by the folders of keys, and by listing all names again.
 */
export function createStoreIndex(
  opened: Store,
  { trusted, limit = LIMIT, onFault }: StoreIndexOptions,
): StoreIndex {
  const { directory, blobs } = opened;
  const giveUp = new AbortController();
  const { signal } = giveUp;
  let data = new CatalogData();
  let isComplete = false;
  let fault: string | undefined;
  /** Keys and blobs that were looked at since the running listing began: what it tells of them is older. */
  const looked = new Set<string>();
  const inTurn = createTurns();
  const changes = createChanges(opened);

  const give = (reason: string): void => {
    fault = reason;
    data = new CatalogData();
    isComplete = false;
    looked.clear();
    giveUp.abort();
    onFault(reason);
  };

  const checkLimits = (): void => {
    const { entries } = data.counts;
    if (Math.max(entries, data.blobs.size) > limit)
      give(`there is no index: the store has more than ${limit} entries or blobs`);
    else if (data.texts.bytes > TEXT_LIMIT)
      give(`there is no index: the URLs in the store have more than ${TEXT_LIMIT} bytes`);
  };

  const readEntry = async (key: Key, digest: Digest): Promise<ReadEntry | undefined> => {
    try {
      const stored = await directory.entry(key, digest);
      if (stored === undefined) return undefined;
      const certificate = trusted.signerOf(stored);
      return { digest, stored, signer: certificate && signerNameOf(certificate) };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return { digest, stored: undefined, signer: undefined };
    }
  };

  /** Reads a key. @param listed its entries, if a listing has just told them */
  const readKey = (key: Key, listed?: readonly Digest[]): Promise<void> => {
    if (listed === undefined) looked.add(key);
    return inTurn(key, async () => {
      if (listed !== undefined && looked.has(key)) return;
      const entries: ReadEntry[] = [];
      const sizes = new Map<Digest, number | undefined>();
      for (const digest of listed ?? (await directory.digests(key))) {
        const entry = await readEntry(key, digest);
        if (entry === undefined) continue;
        entries.push(entry);
        const { stored } = entry;
        if (stored !== undefined) sizes.set(stored.sha512, await blobs.size(stored.sha512));
      }
      // Given up meanwhile.
      if (fault !== undefined) return;
      data.put(key, entries.sort(newestOrSound), sizes);
      checkLimits();
    });
  };

  const readBlob = (digest: Digest, { isListed = false } = {}): Promise<void> => {
    if (!isListed) looked.add(digest);
    return inTurn(digest, async () => {
      const size = await blobs.size(digest);
      if (fault !== undefined) return;
      data.setBlob(digest, size);
      checkLimits();
    });
  };

  /** A change stands, whether or not it can be read now: the next listing reads it. */
  const readChange = async (read: Promise<void>): Promise<void> => {
    if (signal.aborted) return;
    await read.catch((error: unknown) => {
      throwProgrammingError(error);
      onFault(`the index could not read a change: ${messageOf(error)}`);
    });
  };

  const store: Store = {
    ...opened,
    directory: {
      ...directory,
      async add(key, entry, received) {
        const isNew = await directory.add(key, entry, received);
        if (isNew) await readChange(readKey(key));
        return isNew;
      },
      async remove(key, digest) {
        const wasThere = await directory.remove(key, digest);
        await readChange(readKey(key));
        return wasThere;
      },
    },
    blobs: {
      ...blobs,
      async create(announced) {
        const writer = await blobs.create(announced);
        return {
          ...writer,
          async commit() {
            const written = await writer.commit();
            await readChange(readBlob(written.digest));
            return written;
          },
        };
      },
      async remove(digest) {
        const wasThere = await blobs.remove(digest);
        await readChange(readBlob(digest));
        return wasThere;
      },
    },
  };

  /** Reads what the log and the folders of keys and blobs tell of changes by other processes. */
  const lookAround = async (): Promise<void> => {
    for await (const { key, sha512 } of changes.records()) {
      signal.throwIfAborted();
      if (sha512 !== undefined) await readBlob(sha512);
      if (key !== undefined) await readKey(key);
    }
    // At first all folders are new.
    if (!isComplete) return;
    if (await changes.areFoldersNew()) await readFolders();
    if (await changes.areBlobsNew()) await listBlobs(createGivingWay(TURN_MS));
  };

  const readFolders = async (): Promise<void> => {
    const there = new Column('whole');
    const giveWay = createGivingWay(TURN_MS);
    for await (const key of changes.folders()) {
      await giveWay();
      signal.throwIfAborted();
      const row = data.keyOf(key);
      if (row === -1) await readKey(key);
      there.set(row === -1 ? data.keyOf(key) : row, 1);
    }
    await readMissing(there);
  };

  /** Reads keys that were not listed: they may be gone. */
  const readMissing = async (
    there: Column,
    onFailure: (error: unknown) => void = throwAny,
  ): Promise<void> => {
    const giveWay = createGivingWay(TURN_MS);
    for (const key of data.keysExcept(there)) {
      await giveWay();
      signal.throwIfAborted();
      await readKey(key).catch(onFailure);
    }
  };

  /** Lists all names, and reads what is new. */
  const list = async (pace: () => Promise<void>, readers: number): Promise<void> => {
    looked.clear();
    const there = new Column('whole');
    const running = new Set<Promise<void>>();
    let fault: CacheError | undefined;
    /** Keeps the fault of a key, or of a folder, which hides no other. */
    const keepFault = (error: unknown): void => {
      if (!(error instanceof CacheError) || error.code === 'unavailable') throw error;
      fault ??= error;
    };
    let failure: { readonly error: unknown } | undefined;
    const read = async (key: Key, digests: readonly Digest[]): Promise<void> => {
      const row = data.keyOf(key);
      if (row === -1 || !data.hasExactly(row, digests)) await readKey(key, digests);
      there.set(data.keyOf(key), 1);
    };
    const readAll = async (): Promise<void> => {
      for await (const { key, digests } of byKey(directory.list())) {
        signal.throwIfAborted();
        if (failure !== undefined) break;
        const reading = read(key, digests)
          .catch(keepFault)
          .catch((error: unknown) => {
            failure ??= { error };
          })
          .finally(() => running.delete(reading));
        running.add(reading);
        if (running.size >= readers) await Promise.race(running);
        await pace();
      }
    };
    await readAll().catch(keepFault);
    await Promise.all(running);
    if (failure !== undefined) throw failure.error;
    await readMissing(there, keepFault);
    await listBlobs(pace).catch(keepFault);
    if (fault !== undefined) throw fault;
  };

  const listBlobs = async (pace: () => Promise<void>): Promise<void> => {
    const there = new Column('whole');
    for await (const digest of blobs.list()) {
      signal.throwIfAborted();
      await pace();
      const blob = data.blobOf(digest);
      if (blob === -1 || data.sizeOf(blob) === undefined) await readBlob(digest, { isListed: true });
      there.set(blob === -1 ? data.blobOf(digest) : blob, 1);
    }
    const gone: number[] = [];
    for (const { blob, digest } of data.blobsExcept(there)) {
      await pace();
      // Listed before it came.
      if (!looked.has(digest) && (await blobs.size(digest)) === undefined) gone.push(blob);
    }
    data.removeBlobs(gone);
  };

  /** Lists the store again and again; meanwhile looks around each second. */
  const follow = async (): Promise<void> => {
    let nextLook = performance.now() + LOOK_MS;
    const lookIfDue = async (): Promise<void> => {
      const begin = performance.now();
      if (begin < nextLook) return;
      await lookAround();
      const rest = (LOOK_FACTOR - 1) * (performance.now() - begin);
      nextLook = performance.now() + Math.max(LOOK_MS, rest) - LOOK_MS / 10;
    };
    await changes.begin();
    for (;;) {
      const begin = performance.now();
      let since = begin;
      const giveWay = createGivingWay(TURN_MS);
      await list(
        async () => {
          await giveWay();
          if (!isComplete) return lookIfDue();
          if (performance.now() - since < SHARE_MS) return;
          await sleep(LOOK_MS - SHARE_MS, undefined, { signal });
          await lookIfDue();
          since = performance.now();
        },
        isComplete ? 1 : READERS,
      );
      if (!isComplete) {
        isComplete = true;
        data.touch();
      }
      const isQuick = performance.now() - begin < SHARE_MS;
      await sleep(LOOK_MS, undefined, { signal });
      if (!isQuick) await lookIfDue();
    }
  };

  const run = async (): Promise<void> => {
    let told = '';
    for (;;) {
      const since = performance.now();
      try {
        await follow();
      } catch (error) {
        if (signal.aborted) return;
        throwProgrammingError(error);
        const message = messageOf(error);
        if (message !== told) onFault(`the index of the store can't be kept up: ${message}`);
        told = message;
        // The first listing has no pauses: that of a large store is not repeated all the time.
        const rest = isComplete ? 0 : (LOOK_FACTOR - 1) * (performance.now() - since);
        const pause = Math.min(Math.max(LOOK_MS, rest), MOST_PAUSE_MS);
        await sleep(pause, undefined, { signal }).catch(() => undefined);
      }
    }
  };

  let running: Promise<void> | undefined;
  return {
    store,
    catalog: createCatalog(() => ({ data, isComplete, fault })),
    refused: () => data.refused,
    start: () => {
      running ??= run();
    },
    stop: async () => {
      giveUp.abort();
      await running;
    },
  };
}

/** Joins the entries of a key, which `list` gives one after the other. */
async function* byKey(
  names: ReturnType<Directory['list']>,
): AsyncGenerator<{ readonly key: Key; readonly digests: readonly Digest[] }> {
  let current: { readonly key: Key; readonly digests: Digest[] } | undefined;
  for await (const { key, digest } of names) {
    if (key !== current?.key) {
      if (current !== undefined) yield current;
      current = { key, digests: [] };
    }
    current.digests.push(digest);
  }
  if (current !== undefined) yield current;
}

function throwAny(error: unknown): never {
  throw error;
}

function newestOrSound({ stored: a }: ReadEntry, { stored: b }: ReadEntry): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  return newestFirst(a, b);
}
