import { createHasher, type Digest, type Hasher } from '../cache/digest.ts';
import { CacheError, isDamage } from '../cache/errors.ts';
import { readPieces } from '../cache/object-pieces.ts';
import type { ObjectStorage, ObjectWriter, OpenObject } from '../cache/object-storage.ts';

/** A complete part of a blob. */
export interface WrittenPart {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  readonly sha512: Digest;
  /** False if the same bytes were there already. */
  readonly isNew: boolean;
}

export interface SplitWriterOptions {
  /** Bytes of the blob, if known. */
  readonly size: number | undefined;
  readonly holder?: string | undefined;
  /** Bytes of each part but the last. */
  readonly partSize: number;
  /** The blob to resume; undefined: the parts have no names before `commit`. */
  readonly resumed?:
    | {
        /** The name of a part, counted from 0. */
        readonly partName: (index: number) => string;
        /** Gives each part its name at once, so that the next writer can resume. Only for an incomplete blob. */
        readonly nameAtOnce: boolean;
        readonly onPart: (part: WrittenPart) => void;
      }
    | undefined;
  /** Names the parts that have none yet. A part without a writer has its name. */
  readonly commit: (
    name: string,
    parts: readonly { readonly size: number; readonly writer: ObjectWriter | undefined }[],
  ) => Promise<void>;
}

/** Writes a blob in parts, of which only the last is smaller than the others; it may be empty. */
export async function createSplitWriter(
  storage: ObjectStorage,
  { size, holder, partSize, resumed, commit }: SplitWriterOptions,
): Promise<ObjectWriter> {
  const parts: { readonly size: number; readonly writer: ObjectWriter | undefined }[] = [];
  let current = await openPart();

  return {
    async write(chunks) {
      for (let left = chunks; left.length > 0;) {
        if (current.size() === partSize) await next();
        const [now, later] = cut(left, partSize - current.size());
        await current.write(now);
        left = later;
      }
    },
    async commit(name) {
      const isInParts = parts.length > 0 || resumed !== undefined;
      if (current.size() === partSize && isInParts) await next();
      await endPart();
      await commit(name, parts);
    },
    async commitNew(name) {
      const { writer } = await current.end();
      if (parts.length > 0 || writer === undefined) throw tooLarge(name);
      return writer.commitNew(name);
    },
    async abort() {
      await current.abort();
      for (const { writer } of parts) await writer?.abort();
    },
  };

  async function next(): Promise<void> {
    await endPart();
    current = await openPart();
  }

  async function openPart(): Promise<Part> {
    const left = size === undefined ? partSize : Math.max(0, size - parts.length * partSize);
    const length = Math.min(left, partSize);
    const create = (): Promise<ObjectWriter> =>
      storage.create(size === undefined ? undefined : length, holder);
    if (resumed === undefined) return createPart(await create());
    const there = await storage.open(resumed.partName(parts.length));
    if (there?.size === length) return comparePart(there, create);
    await there?.close();
    return createPart(await create(), createHasher());
  }

  async function endPart(): Promise<void> {
    const { writer, sha512 } = await current.end();
    const part = { size: current.size(), writer };
    if (resumed !== undefined && sha512 !== undefined) {
      const name = resumed.partName(parts.length);
      if (resumed.nameAtOnce) await writer?.commit(name);
      resumed.onPart({ name, size: part.size, sha512, isNew: writer !== undefined });
    }
    parts.push(resumed?.nameAtOnce ? { ...part, writer: undefined } : part);
  }
}

export function tooLarge(name: string): CacheError {
  return new CacheError('too-large', `${name}: only blobs can be this large`);
}

/** A part in progress. */
interface Part {
  /** Bytes so far. */
  size(): number;
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** @returns the writer to commit, undefined if the same part is there; the digest of a resumed part */
  end(): Promise<{ readonly writer: ObjectWriter | undefined; readonly sha512: Digest | undefined }>;
  abort(): Promise<void>;
}

function createPart(writer: ObjectWriter, hasher?: Hasher, start = 0): Part {
  let size = start;
  return {
    size: () => size,
    async write(chunks) {
      const writing = writer.write(chunks);
      for (const chunk of chunks) {
        hasher?.update(chunk);
        size += chunk.byteLength;
      }
      await writing;
    },
    end: () => Promise.resolve({ writer, sha512: hasher?.digest() }),
    abort: () => writer.abort(),
  };
}

/** Compares bytes with a part that is there, and writes it anew from the first difference on. */
function comparePart(there: OpenObject, create: () => Promise<ObjectWriter>): Part {
  const hasher = createHasher();
  let size = 0;
  let anew: Part | undefined;
  let isClosed = false;
  const close = async (): Promise<void> => {
    if (isClosed) return;
    isClosed = true;
    await there.close();
  };
  return {
    size: () => anew?.size() ?? size,
    async write(chunks) {
      for (const chunk of chunks) {
        if (anew === undefined && !(await hasBytes(there, size, chunk))) {
          const writer = await create();
          anew = createPart(writer, hasher, size);
          for await (const piece of readPieces(startOf(there, size))) await writer.write([piece]);
        }
        if (anew !== undefined) await anew.write([chunk]);
        else {
          hasher.update(chunk);
          size += chunk.byteLength;
        }
      }
    },
    async end() {
      await close();
      return anew === undefined ? { writer: undefined, sha512: hasher.digest() } : anew.end();
    },
    async abort() {
      await close();
      await anew?.abort();
    },
  };
}

/** Whether an object has these bytes at a position; not if the disk has lost them. */
async function hasBytes(object: OpenObject, position: number, bytes: Uint8Array): Promise<boolean> {
  const found = Buffer.allocUnsafe(bytes.byteLength);
  let length = 0;
  try {
    while (length < found.length) {
      const count = await object.read(found.subarray(length), position + length);
      if (count === 0) return false;
      length += count;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
    return false;
  }
  return found.equals(bytes);
}

/** The first bytes of an object. */
function startOf(object: OpenObject, size: number): OpenObject {
  return {
    ...object,
    size,
    read: (into, position) =>
      position < size
        ? object.read(into.subarray(0, Math.min(into.byteLength, size - position)), position)
        : Promise.resolve(0),
  };
}

/** The first `count` bytes of chunks, and the rest. */
function cut(
  chunks: readonly Uint8Array[],
  count: number,
): readonly [readonly Uint8Array[], readonly Uint8Array[]] {
  const now: Uint8Array[] = [];
  const later: Uint8Array[] = [];
  let left = count;
  for (const chunk of chunks) {
    if (left > 0) now.push(chunk.subarray(0, left));
    if (chunk.byteLength > left) later.push(chunk.subarray(left));
    left = Math.max(0, left - chunk.byteLength);
  }
  return [now, later];
}
