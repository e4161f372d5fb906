import type { Digest } from '../cache/digest.ts';
import { madeAt } from '../cache/entry.ts';
import { CacheError, isConnectionFault } from '../cache/errors.ts';
import type { SourceBlob, SourceEntry, UploadTarget } from '../cache/source.ts';
import { groupOf } from './interchange-group.ts';
import { missingBlob, type Destination, type KeyTransfer } from './transfer.ts';

/** The target failed, which says nothing about the source. */
export class TargetFault extends CacheError {}

/** The target is unreachable, which concerns every key. */
export class TargetAbsent extends TargetFault {}

/**
 * A running cache as a destination. Each upload becomes the newest entry of its key, so an entry is left out if a
 * later one of its platform and signer is already there.
 */
export function createServerDestination(server: UploadTarget): Destination {
  const target = withTargetFaults(server);
  return {
    async open(key, transfer) {
      const { source, onProgress } = transfer;
      const there = await target.entries(key);
      const present = new Set(there.map(({ digest }) => digest));
      const newer = createSuccessors(transfer, there, present);
      return {
        has: ({ digest }) => present.has(digest),
        overtakes: (entry, index) => newer.has(entry, index),
        async hasBlob({ sha512, size }) {
          const [held, own] = [await target.blobSize(sha512), await source.blobSize(sha512)];
          return held !== undefined && (held === size || held === (own ?? held));
        },
        copyBlob: (entry) => target.putBlob(entry.sha512, () => openWithProgress(entry)),
        async add(entry) {
          const isNew = !present.has(entry.digest);
          if (isNew) await target.putEntry(key, entry.pair);
          return isNew;
        },
        hasNow: (entry) => {
          newer.add(entry);
        },
        // The server keeps its own log.
        record: () => Promise.resolve(),
      };

      async function openWithProgress(entry: SourceEntry): Promise<SourceBlob> {
        const blob = await source.openBlob(entry.sha512);
        if (blob === undefined) throw missingBlob(entry, source);
        return { ...blob, pieces: counted(blob) };

        async function* counted({ pieces, size }: SourceBlob): AsyncGenerator<Uint8Array> {
          for await (const piece of pieces) {
            yield piece;
            onProgress(entry, piece.byteLength, size);
          }
        }
      }
    },
  };
}

/** The entries of a server that an upload would wrongly overtake. */
interface Successors {
  /** Whether nodes that would take the entry have a newer one, by the source's order or by creation date. */
  has(entry: SourceEntry, index: number): boolean;
  /** Receives each uploaded entry. */
  add(entry: SourceEntry): void;
}

/** @param there the entries of the server @param present their digests */
function createSuccessors(
  { listed, trusted }: KeyTransfer,
  there: readonly SourceEntry[],
  present: ReadonlySet<Digest>,
): Successors {
  const groupIn = (entry: SourceEntry): string | undefined =>
    groupOf(entry, trusted) ?? trusted.signerOf(entry)?.fingerprint512;
  const lastMade = new Map<string | undefined, number>();
  const add = (entry: SourceEntry): void => {
    const group = groupIn(entry);
    lastMade.set(group, Math.max(lastMade.get(group) ?? -Infinity, madeAt(entry) ?? -Infinity));
  };
  for (const entry of there) add(entry);
  /** The first index in the source of the entries already there, by group. */
  const first = new Map<string | undefined, number>();
  for (const [index, entry] of listed.entries()) {
    if (!present.has(entry.digest)) continue;
    const group = groupIn(entry);
    first.set(group, first.get(group) ?? index);
  }
  return {
    add,
    has(entry, index) {
      const group = groupIn(entry);
      return (
        (first.get(group) ?? Infinity) < index ||
        (lastMade.get(group) ?? -Infinity) > (madeAt(entry) ?? Infinity)
      );
    },
  };
}

/** The target, with a `TargetFault` if it is unavailable. A refusal by the target concerns only the entry. */
function withTargetFaults(target: UploadTarget): UploadTarget {
  const guarded = async <T>(ask: () => Promise<T>, isOfSource = () => false): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'unavailable' || isOfSource()) throw error;
      const Fault = isConnectionFault(error) ? TargetAbsent : TargetFault;
      throw new Fault(error.code, `can't copy to ${target.name}: ${error.message}`, { cause: error });
    }
  };
  return {
    ...target,
    entries: (key) => guarded(() => target.entries(key)),
    blobSize: (digest) => guarded(() => target.blobSize(digest)),
    putEntry: (key, pair) => guarded(() => target.putEntry(key, pair)),
    putBlob(digest, open) {
      // Either side may fail while a blob is sent.
      let isOfSource = false;
      const reading = async function* (pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        try {
          yield* pieces;
        } catch (error) {
          isOfSource = true;
          throw error;
        }
      };
      const openBlob = async (): Promise<SourceBlob> => {
        isOfSource = true;
        const blob = await open();
        isOfSource = false;
        return { ...blob, pieces: reading(blob.pieces) };
      };
      return guarded(
        () => target.putBlob(digest, openBlob),
        () => isOfSource,
      );
    },
  };
}
