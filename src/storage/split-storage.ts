import { BLOBS, partName, PARTS } from '../cache/layout.ts';
import type { ObjectStat, ObjectStorage, ObjectWriter } from '../cache/object-storage.ts';
import { joinStats, openJoined } from './joined-object.ts';
import { createSplitWriter, tooLarge, type SplitWriterOptions, type WrittenPart } from './split-writer.ts';

/** Sizes in bytes. */
export interface SplitLimits {
  /** A larger blob is split. */
  readonly largestFile: number;
  /** Size of each part but the last. */
  readonly partSize: number;
}

/** An object storage that keeps large blobs in parts. */
export interface SplitStorage extends ObjectStorage {
  /**
   * Begins or resumes a blob in parts, and keeps the parts that have the same bytes. The parts of an incomplete blob get
   * their names as they are filled, and stay after `abort`.
   * @param name `commit` receives the same
   * @param size in bytes, larger than `partSize`
   * @param onPart receives each part when it is complete
   */
  resume(
    name: string,
    size: number,
    partSize: number,
    onPart: (part: WrittenPart) => void,
  ): Promise<ObjectWriter>;
  /** The names of the blobs in parts that are not there whole, too. */
  listSplit(): AsyncIterable<string>;
  /** The names of a blob's parts, in order; none for a whole blob. */
  partsOf(name: string): Promise<readonly string[]>;
}

/**
 * Keeps blobs that a file system can't hold as parts `parts/<blob>.0001`, `.0002`, …, and reads them as one object. All
 * parts have the same size but the last, which is smaller, if need be empty, and is written last: without a smaller last
 * part a blob is incomplete, and a miss. A whole object takes precedence over parts.
 * @param limits default: reads parts and writes none
 */
export function createSplitStorage(inner: ObjectStorage, limits?: SplitLimits): SplitStorage {
  let settled: Promise<unknown> = Promise.resolve();

  /** Changes of parts run in turn, so that two writers of one blob don't mix theirs. */
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const acting = settled.then(act);
    settled = acting.catch(() => undefined);
    return acting;
  };

  /** The parts of a blob up to the first missing one. */
  const statParts = async (name: string): Promise<readonly ObjectStat[]> => {
    const parts: ObjectStat[] = [];
    for (;;) {
      const part = await inner.stat(partOf(name, parts.length));
      if (part === undefined) return parts;
      parts.push(part);
    }
  };

  const sizesOf = async (name: string): Promise<readonly number[]> =>
    (await statParts(name)).map(({ size }) => size);

  /** Also removes parts behind a missing one. @returns whether the parts were a complete blob */
  const removeParts = async (
    name: string,
    isStale: (index: number) => boolean = () => true,
  ): Promise<boolean> => {
    if (!name.startsWith(BLOBS)) return false;
    const wasWhole = isWhole(await sizesOf(name));
    const indexes: number[] = [];
    for await (const part of inner.list(PARTS)) {
      const [, index = NaN] = parsePart(part) ?? [];
      if (partOf(name, index) === part && isStale(index)) indexes.push(index);
    }
    // The last part first: without it the blob is incomplete.
    for (const index of indexes.sort((a, b) => b - a)) await inner.remove(partOf(name, index));
    return wasWhole;
  };

  const commitWhole = async (name: string, writer: ObjectWriter): Promise<void> => {
    await writer.commit(name);
    await inTurn(() => removeParts(name));
  };

  const commit: SplitWriterOptions['commit'] = (name, parts) => {
    const [first] = parts;
    if (parts.length === 1 && first?.writer !== undefined) return commitWhole(name, first.writer);
    if (!name.startsWith(BLOBS)) throw tooLarge(name);
    return inTurn(async () => {
      // Parts of other sizes hold other bytes under the same names.
      const isSame = isEqual(
        await sizesOf(name),
        parts.map(({ size }) => size),
      );
      await removeParts(
        name,
        (index) => index >= parts.length || (!isSame && parts[index]?.writer !== undefined),
      );
      for (const [index, { writer }] of parts.entries()) await writer?.commit(partOf(name, index));
      await inner.remove(name);
    });
  };

  const storage: SplitStorage = {
    async stat(name) {
      const whole = await inner.stat(name);
      if (whole !== undefined || !name.startsWith(BLOBS)) return whole;
      const parts = await statParts(name);
      if (isWhole(parts.map(({ size }) => size))) return joinStats(parts);
      // A whole blob may have replaced the parts meanwhile.
      return inner.stat(name);
    },
    async open(name) {
      const whole = await inner.open(name);
      if (whole !== undefined || !name.startsWith(BLOBS)) return whole;
      return (await openJoined(inner, (index) => partOf(name, index), isWhole)) ?? inner.open(name);
    },
    async create(size, holder) {
      if (limits === undefined || (size !== undefined && size <= limits.largestFile)) {
        const writer = await inner.create(size, holder);
        return { ...writer, commit: (name) => commitWhole(name, writer) };
      }
      // A part reserves room for itself only; the blob must fit, too.
      if (size !== undefined) await (await inner.create(size, holder)).abort();
      return createSplitWriter(inner, { size, holder, partSize: limits.partSize, commit });
    },
    async resume(name, size, partSize, onPart) {
      const there = await sizesOf(name);
      const nameAtOnce = !isWhole(there);
      // An old last part would complete the blob before all bytes are known.
      const last = Math.min(there.length, Math.floor(size / partSize));
      if (nameAtOnce) await inTurn(() => removeParts(name, (index) => index >= last));
      const resumed = { partName: (index: number) => partOf(name, index), nameAtOnce, onPart };
      return createSplitWriter(inner, { size, partSize, resumed, commit });
    },
    async *list(prefix) {
      if (prefix === PARTS) return;
      yield* inner.list(prefix);
      if (prefix !== BLOBS) return;
      yield* storage.listSplit();
    },
    async *listSplit() {
      const names = new Set<string>();
      for await (const part of inner.list(PARTS)) {
        const [name] = parsePart(part) ?? [];
        if (name !== undefined) names.add(name);
      }
      for (const name of names)
        if ((await inner.stat(name)) === undefined && isWhole(await sizesOf(name))) yield name;
    },
    async partsOf(name) {
      if (!name.startsWith(BLOBS)) return [];
      return (await statParts(name)).map((_part, index) => partOf(name, index));
    },
    async ensureDurable(name) {
      if (await inner.ensureDurable(name)) return true;
      const parts = await storage.partsOf(name);
      for (const part of parts) await inner.ensureDurable(part);
      return parts.length > 0 && (await storage.stat(name)) !== undefined;
    },
    async remove(name) {
      const wasWhole = await inner.remove(name);
      const wasSplit = await inTurn(() => removeParts(name));
      return wasWhole || wasSplit;
    },
  };
  return storage;
}

/** The sizes of the parts of a blob. */
export function sizesOfParts(size: number, partSize: number): readonly number[] {
  return [...Array.from({ length: Math.floor(size / partSize) }, () => partSize), size % partSize];
}

/** Whether parts of these sizes are a complete blob. */
function isWhole(sizes: readonly number[]): boolean {
  const [first = 0, ...others] = sizes;
  const last = others.pop();
  return last !== undefined && last < first && others.every((size) => size === first);
}

function isEqual(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((size, index) => size === others[index]);
}

/** The blob that a part belongs to, and the part's index from 0. */
function parsePart(part: string): readonly [name: string, index: number] | undefined {
  const [, blob, number] = /^([^.]+)\.(\d{4,9})$/.exec(part.slice(PARTS.length)) ?? [];
  return blob === undefined ? undefined : [BLOBS + blob, Number(number) - 1];
}

/** @param index counted from 0 */
function partOf(name: string, index: number): string {
  return partName(name.slice(BLOBS.length), index + 1);
}
