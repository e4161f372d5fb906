import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { createBlobs, type BlobWriter } from '../cache/blobs.ts';
import { isDigest, type Digest } from '../cache/digest.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { openHasher, type HashThreads } from '../cache/hash-threads.ts';
import { BLOBS, blobName } from '../cache/layout.ts';
import { readPieces } from '../cache/object-pieces.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import { createFilesystemStorage } from './filesystem.ts';
import { lstatIfThere, unlinkIfThere } from './if-there.ts';
import { openFile } from './open-file.ts';
import { makeFolders } from './ownership.ts';
import { storageError } from './storage-error.ts';
import { removeLeftovers, TEMPORARY } from './store-folder.ts';

export interface LocalFolderOptions {
  /** Path; made if it is missing. Several processes may share it, and it may be removed at any time. */
  readonly folder: string;
  /** Most bytes of blobs; the least recently used go. */
  readonly size: number;
  /** Bytes that stay free on its disk. */
  readonly minFreeSpace?: number;
  /** Receives a fault of the folder, once of a kind until a blob can be written again. */
  readonly onFault: (message: string) => void;
}

/** Keeps copies of blobs in a folder. Its faults are reported, never thrown: there is another copy. */
export interface LocalFolder {
  /** Opens a copy whose bytes this process has checked within a day; begins to check any other copy. */
  open(digest: Digest): Promise<OpenObject | undefined>;
  /** Begins a copy of a blob; undefined if it should not be kept now. @param size in bytes */
  fill(digest: Digest, size: number): Fill | undefined;
  remove(digest: Digest): Promise<void>;
  /** Reports a fault of a copy, and removes it. */
  discard(digest: Digest, error: unknown): Promise<void>;
}

/** A copy in progress. End it with `end`. */
export interface Fill {
  /** Adds the next bytes, which may be reused then. */
  add(bytes: Uint8Array): Promise<void>;
  /** Makes the copy visible if all bytes came and have the digest; else leaves nothing. */
  end(): Promise<void>;
}

/** Bytes of the smallest blob that is kept: the store brings a smaller one as fast as it says that it has it. */
const SMALLEST = 1024 * 1024;
/** Bytes of a write; a fill holds two. */
const PIECE = 512 * 1024;
/** Copies in progress at a time. */
const MOST_FILLS = 16;
/** Milliseconds for which a checked copy is trusted: no longer than a bad disk may serve wrong bytes. */
const TRUST_MS = 24 * 3600_000;
const MOST_TRUSTED = 100_000;
/** Milliseconds after which a use is recorded again. */
const USE_MS = 60_000;
/** What may stand in the folder: a store has more, and must not be taken for a cache. */
const OWN_NAMES: ReadonlySet<string> = new Set([BLOBS.slice(0, -1), TEMPORARY, 'lost+found']);

/**
 * Opens the folder of a local cache: `bcache/<sha512>`, as in a store, and `tmp/`.
 * @throws CacheError `config`: something else is in the folder
 */
export async function openLocalFolder(
  { folder, size: limit, minFreeSpace = 0, onFault }: LocalFolderOptions,
  threads?: HashThreads,
): Promise<LocalFolder> {
  const blobs = createBlobs(createFilesystemStorage(folder, { minFreeSpace }), threads);
  const pathOf = (digest: Digest): string => join(folder, blobName(digest));
  const trusted = new LRUCache<Digest, true>({ max: MOST_TRUSTED, ttl: TRUST_MS });
  const used = new LRUCache<Digest, true>({ max: MOST_TRUSTED, ttl: USE_MS });
  /** Blobs that this process is copying or checking. */
  const busy = new Set<Digest>();
  /** The code of the last fault. */
  let told = '';
  /** Checks, and removals of old copies, run in turn. */
  let settled: Promise<unknown> = Promise.resolve();

  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const acting = settled.then(act);
    settled = acting.catch(() => undefined);
    return acting;
  };

  const report = (error: unknown): void => {
    throwProgrammingError(error);
    const { code, message } = storageError(error, `can't use the local cache ${folder}`);
    if (code !== told) onFault(`blobs come from the store without the local cache: ${message}`);
    told = code;
  };

  /** @returns undefined after a fault */
  const attempt = async <T>(act: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await act();
    } catch (error) {
      report(error);
      return undefined;
    }
  };

  const remove = async (digest: Digest): Promise<void> => {
    trusted.delete(digest);
    await attempt(() => unlinkIfThere(pathOf(digest)));
  };

  const check = async (digest: Digest): Promise<void> => {
    const file = await openFile(pathOf(digest));
    if (file === undefined) return;
    const hasher = openHasher(threads, file.size);
    try {
      for await (const piece of readPieces(file)) await hasher.update([piece]);
      if ((await hasher.digest()) !== digest)
        throw new CacheError('damaged', `${pathOf(digest)} has another sha512 than its name`);
      trusted.set(digest, true);
    } finally {
      hasher.close();
      await file.close();
    }
  };

  const discard = async (digest: Digest, error: unknown): Promise<void> => {
    report(error);
    await remove(digest);
  };

  const beginCheck = (digest: Digest): void => {
    if (busy.has(digest)) return;
    busy.add(digest);
    void inTurn(() => check(digest))
      .catch((error: unknown) => discard(digest, error))
      .finally(() => busy.delete(digest));
  };

  /** Removes the copies that were not used for the longest time. */
  const removeOldest = async (bytes: number): Promise<void> => {
    let freed = 0;
    for (const { path, size } of (await copiesIn(folder)).sort((a, b) => a.used - b.used)) {
      if (freed >= bytes) return;
      await unlinkIfThere(path);
      freed += size;
    }
  };

  const keepLimit = async (): Promise<void> => {
    const sum = (await copiesIn(folder)).reduce((bytes, { size }) => bytes + size, 0);
    if (sum > limit) await removeOldest(sum - limit);
  };

  const begin = async (digest: Digest, size: number): Promise<BlobWriter> => {
    await makeFolders(join(folder, BLOBS));
    try {
      return await blobs.create({ digest, size });
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'no-space') throw error;
      await inTurn(() => removeOldest(size));
      return blobs.create({ digest, size });
    }
  };

  await attempt(() => makeFolders(folder));
  checkIsOwn(folder, (await attempt(() => readdir(folder))) ?? []);
  await attempt(() => removeLeftovers(folder));

  return {
    remove,
    discard,

    async open(digest) {
      const file = await attempt(() => openFile(pathOf(digest)));
      if (file === undefined) return undefined;
      if (!trusted.has(digest)) {
        await file.close();
        beginCheck(digest);
        return undefined;
      }
      if (!used.has(digest)) {
        used.set(digest, true);
        // Reading alone does not change the time on most disks. A server in front takes the other time for its ETag.
        await attempt(() => utimes(pathOf(digest), new Date(), file.modified / 1000));
      }
      return file;
    },

    fill(digest, size) {
      if (size < SMALLEST || size > limit || busy.has(digest) || busy.size >= MOST_FILLS) return undefined;
      busy.add(digest);
      const copy = createCopy(() => begin(digest, size), size);
      return {
        add: (bytes) => copy.add(bytes),
        async end() {
          try {
            if (!(await copy.end())) return;
            trusted.set(digest, true);
            told = '';
            await inTurn(keepLimit);
          } catch (error) {
            report(error);
          } finally {
            busy.delete(digest);
          }
        },
      };
    },
  };
}

/** Writes bytes behind the reader who brings them. A fault ends the writing; `end` throws it. */
function createCopy(
  begin: () => Promise<BlobWriter>,
  size: number,
): { add(bytes: Uint8Array): Promise<void>; end(): Promise<boolean> } {
  let buffer: Buffer = Buffer.allocUnsafeSlow(Math.min(size, PIECE));
  let spare: Buffer | undefined;
  let filled = 0;
  let received = 0;
  let writer: BlobWriter | undefined;
  let fault: Error | undefined;
  let writing: Promise<void> = Promise.resolve();

  const write = async (bytes: Buffer): Promise<void> => {
    try {
      writer ??= await begin();
      await writer.write([bytes]);
    } catch (error) {
      fault = error instanceof Error ? error : new Error(String(error));
    }
  };

  const flush = async (): Promise<void> => {
    await writing;
    if (fault !== undefined) return;
    writing = write(buffer.subarray(0, filled));
    [buffer, spare] = [spare ?? Buffer.allocUnsafeSlow(buffer.length), buffer];
    filled = 0;
  };

  return {
    async add(bytes) {
      received += bytes.byteLength;
      for (let start = 0; start < bytes.byteLength && fault === undefined;) {
        const count = Math.min(bytes.byteLength - start, buffer.length - filled);
        buffer.set(bytes.subarray(start, start + count), filled);
        filled += count;
        start += count;
        if (filled === buffer.length) await flush();
      }
    },
    async end() {
      try {
        if (received < size) return false;
        if (filled > 0) await flush();
        await writing;
        if (fault !== undefined) throw fault;
        await writer?.commit();
        return true;
      } finally {
        await writing;
        await writer?.abort();
      }
    },
  };
}

interface Copy {
  readonly path: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly used: number;
}

async function copiesIn(folder: string): Promise<Copy[]> {
  // The disk of a store may have been mounted there meanwhile.
  checkIsOwn(folder, await readdir(folder));
  const copies: Copy[] = [];
  for (const name of await readdir(join(folder, BLOBS))) {
    if (!isDigest(name)) continue;
    const path = join(folder, BLOBS, name);
    const stats = await lstatIfThere(path);
    // Otherwise another process has removed it.
    if (stats !== undefined) copies.push({ path, size: stats.size, used: stats.atimeMs });
  }
  return copies;
}

/** A store in the place of a cache would lose its blobs. */
function checkIsOwn(folder: string, names: readonly string[]): void {
  const others = names.filter((name) => !OWN_NAMES.has(name));
  if (others.length > 0)
    throw new CacheError(
      'config',
      `[store] local-cache: ${folder} is no local cache: it holds ${others.slice(0, 3).join(', ')}; name an empty folder`,
    );
}
