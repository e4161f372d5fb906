import type { Store } from '../cache/store.ts';
import { checkBinding, madeAt } from '../cache/entry.ts';
import { CacheError } from '../cache/errors.ts';
import { createGivingWay } from '../cache/give-way.ts';
import type { Key } from '../cache/key.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import { useOf } from './entry-use.ts';
import type { Source, SourceBlob, SourceEntry, UploadTarget } from '../cache/source.ts';
import { missingBlob, reasonOf, transferEntries, type TransferResult } from './transfer.ts';
import { TargetAbsent, TargetFault, tellingFaults } from './upload-target.ts';

export interface SyncOptions {
  /** Whose signatures count. */
  readonly trusted: TrustedCertificates;
  /** Finds out what would be copied, and writes nothing. */
  readonly dryRun?: boolean;
  /** Bytes of an entry's blob that were copied since the last call, and of how many where that is known. */
  readonly onProgress?: (entry: SourceEntry, bytes: number, size: number | undefined) => void;
}

/** What became of one entry, or of a key whose entries the source can't read, or the target can't take. */
export type SyncResult =
  | TransferResult
  /** It would overtake a newer one of its platform and signer that is there. */
  | { readonly key: Key; readonly entry: SourceEntry; readonly outcome: 'left-out' }
  | { readonly key: Key; readonly outcome: 'unreadable' | 'not-copied'; readonly reason: string };

/**
 * Copies to a store all that it lacks of a source, key by key, and changes nothing else. May be broken off at any moment.
 * @throws CacheError `storage`, `no-space`, `unavailable`: the store or the source failed
 */
export function syncToStore(
  source: Source,
  target: Store,
  { onProgress, ...options }: SyncOptions,
): AsyncGenerator<SyncResult> {
  return forEachKey(source, async function* (key) {
    const listed = await source.entries(key);
    const byBlob = new Map(listed.map((entry) => [entry.sha512, entry]));
    const results = transferEntries(key, listed, source, target, {
      ...options,
      onProgress: (digest, bytes, size) => {
        const entry = byBlob.get(digest);
        if (entry !== undefined) onProgress?.(entry, bytes, size);
      },
    });
    for await (const result of results) {
      if (result.outcome === 'copied') {
        const { digest, sha512, softwareUrl } = result.entry;
        const size = (await target.blobs.stat(sha512))?.size;
        await target.log.record({
          ...{ action: 'sync', key, entry: digest, sha512, softwareUrl, size, source: source.name },
        });
      }
      yield result;
    }
  });
}

/**
 * Uploads to a running cache all that it lacks of a source. It makes every entry the newest of its key: so the oldest
 * goes first, and one that stands behind another of its platform and signer that is there already is left out.
 * @throws CacheError `unavailable`, `unauthorized`, `forbidden`, `no-space`, `storage`
 */
export function syncToServer(
  source: Source,
  to: UploadTarget,
  { trusted, dryRun = false, onProgress }: SyncOptions,
): AsyncGenerator<SyncResult> {
  const target = tellingFaults(to);
  return forEachKey(source, async function* (key) {
    const listed = await source.entries(key);
    const there = await target.entries(key);
    const present = new Set(there.map(({ digest }) => digest));
    const giveWay = createGivingWay();
    const newer = createSuccessors(listed, there, trusted);
    for (const [index, entry] of [...listed.entries()].reverse()) {
      await giveWay();
      try {
        trusted.verify(entry);
        checkBinding(key, entry);
        const isThere = present.has(entry.digest);
        if (!isThere && newer.has(entry, index)) {
          yield { key, entry, outcome: 'left-out' };
          continue;
        }
        const hadBlob = await uploadBlob(entry);
        if (!isThere && !dryRun) await target.putEntry(key, entry.pair);
        newer.add(entry);
        yield { key, entry, outcome: isThere && hadBlob ? 'unchanged' : dryRun ? 'to-copy' : 'copied' };
      } catch (error) {
        yield { key, entry, outcome: 'refused', reason: reasonOf(error) };
      }
    }
  });

  /** @returns whether it was there already */
  async function uploadBlob(entry: SourceEntry): Promise<boolean> {
    const { sha512 } = entry;
    const [there, here] = [await target.blobSize(sha512), await source.blobSize(sha512)];
    if (there !== undefined && (there === entry.size || there === (here ?? there))) return true;
    if (here === undefined) throw missingBlob(entry, source);
    if (!dryRun) await target.putBlob(sha512, () => openWithProgress(entry));
    return false;
  }

  async function openWithProgress(entry: SourceEntry): Promise<SourceBlob> {
    const blob = await source.openBlob(entry.sha512);
    if (blob === undefined) throw missingBlob(entry, source);
    return { ...blob, pieces: counted() };

    async function* counted(): AsyncGenerator<Uint8Array> {
      for await (const piece of blob?.pieces ?? []) {
        yield piece;
        onProgress?.(entry, piece.byteLength, blob?.size);
      }
    }
  }
}

/** What a server has, or gets, that an upload would wrongly overtake: it makes every entry the newest. */
interface Successors {
  /** Whether nodes that would take the entry have a newer one: by the order of the source, or by the day it was made. */
  has(entry: SourceEntry, index: number): boolean;
  /** To be told of each entry that is uploaded. */
  add(entry: SourceEntry): void;
}

function createSuccessors(
  listed: readonly SourceEntry[],
  there: readonly SourceEntry[],
  trusted: TrustedCertificates,
): Successors {
  // A node that takes the one of two of equal use never takes the other.
  const useIn = (entry: SourceEntry): string | undefined =>
    useOf(entry, trusted) ?? trusted.signerOf(entry)?.fingerprint512;
  const lastMade = new Map<string | undefined, number>();
  const add = (entry: SourceEntry): void => {
    const use = useIn(entry);
    lastMade.set(use, Math.max(lastMade.get(use) ?? -Infinity, madeAt(entry) ?? -Infinity));
  };
  for (const entry of there) add(entry);
  const present = new Set(there.map(({ digest }) => digest));
  /** The first place in the source of what is there already, by use. */
  const first = new Map<string | undefined, number>();
  for (const [index, entry] of listed.entries()) {
    if (!present.has(entry.digest)) continue;
    const use = useIn(entry);
    first.set(use, first.get(use) ?? index);
  }
  return {
    add,
    has(entry, index) {
      const use = useIn(entry);
      return (
        (first.get(use) ?? Infinity) < index || (lastMade.get(use) ?? -Infinity) > (madeAt(entry) ?? Infinity)
      );
    },
  };
}

/** What can't be read of one key says nothing about the others; what can't be read of so many says that all is lost. */
const UNREADABLE_IN_A_ROW = 3;

async function* forEachKey(
  source: Source,
  sync: (key: Key) => AsyncGenerator<SyncResult>,
): AsyncGenerator<SyncResult> {
  let unavailable = 0;
  for await (const key of source.keys()) {
    try {
      yield* sync(key);
      unavailable = 0;
    } catch (error) {
      if (!(error instanceof CacheError) || error instanceof TargetAbsent) throw error;
      // One bad entry of another cache is an answer 500 to its key, which can't be told from worse.
      if (error.code === 'unavailable') unavailable++;
      else if (error.code !== 'damaged' && error.code !== 'incomplete') throw error;
      if (unavailable >= UNREADABLE_IN_A_ROW) throw error;
      const outcome = error instanceof TargetFault ? 'not-copied' : 'unreadable';
      yield { key, outcome, reason: error.message };
    }
  }
}
