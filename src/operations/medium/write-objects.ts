import { createBlobs, type Blobs } from '../../cache/blobs.ts';
import { createHasher, digestOf, type Digest, type Hasher } from '../../cache/digest.ts';
import { CacheError } from '../../cache/errors.ts';
import { blobName, partName } from '../../cache/layout.ts';
import type { ObjectStorage, OpenObject } from '../../cache/object-storage.ts';
import { readPieces } from '../../cache/object-pieces.ts';
import type { MediumFile } from './manifest.ts';
import { digestObject } from './object-digest.ts';

/** Written objects, by name. */
export type Written = Map<string, MediumFile>;

/** A blob of the exporting store that will be written to a medium. */
export interface PlannedBlob {
  readonly sha512: Digest;
  /** Bytes. */
  readonly size: number;
  /** Bytes of each part but the last; undefined: not split. */
  readonly partSize: number | undefined;
}

export interface WriteOptions {
  readonly from: Blobs;
  readonly storage: ObjectStorage;
  /** Bytes of the objects already on the medium. */
  readonly sizes: ReadonlyMap<string, number>;
  readonly onProgress: (label: string, bytes: number) => void;
  /** Receives the bytes of each written object; sound objects don't count. */
  readonly onWritten: (bytes: number) => void;
}

/** Names and sizes of the objects of a blob. */
export function objectsOf({
  sha512,
  size,
  partSize,
}: PlannedBlob): readonly { name: string; size: number }[] {
  if (partSize === undefined) return [{ name: blobName(sha512), size }];
  const count = Math.max(1, Math.ceil(size / partSize));
  return Array.from({ length: count }, (_, index) => ({
    name: partName(sha512, index + 1),
    size: Math.min(partSize, size - index * partSize),
  }));
}

/**
 * Writes a blob to a medium, whole or in parts, and hashes its bytes.
 * @returns its objects on the medium
 * @throws CacheError `digest-mismatch`, `incomplete`, `blob-missing`: the store's blob is damaged; then nothing of it
 * remains. `storage`, `no-space`
 */
export async function writeBlob(blob: PlannedBlob, options: WriteOptions): Promise<Written> {
  const { sha512, size } = blob;
  const object = await options.from.open(sha512);
  if (object === undefined) throw new CacheError('blob-missing', 'it is gone');
  try {
    if (object.size !== size)
      throw new CacheError('incomplete', `it has ${object.size} bytes now, and had ${size}`);
    return blob.partSize === undefined
      ? await writeWhole(blob, object, options)
      : await writeParts(blob, object, options);
  } finally {
    await object.close();
  }
}

async function writeWhole(
  { sha512, size }: PlannedBlob,
  object: OpenObject,
  { storage, onProgress, onWritten }: WriteOptions,
): Promise<Written> {
  const writer = await createBlobs(storage).create({ digest: sha512, size });
  try {
    for await (const piece of readPieces(object)) {
      await writer.write([piece]);
      onProgress(sha512, piece.byteLength);
    }
    await writer.commit();
    onWritten(size);
  } finally {
    await writer.abort();
  }
  return new Map([[blobName(sha512), { size, sha512 }]]);
}

async function writeParts(blob: PlannedBlob, object: OpenObject, options: WriteOptions): Promise<Written> {
  const { storage, sizes } = options;
  const whole = createHasher();
  const written: Written = new Map();
  let start = 0;
  for (const part of objectsOf(blob)) {
    const range = rangeOf(object, start, part.size);
    // Reads the parts of an interrupted export instead of writing them again.
    const there = sizes.get(part.name) === part.size ? await digestObject(storage, part.name) : undefined;
    const sha512 =
      there === undefined
        ? await writePart(part, range, [whole], options)
        : await hashPart(part, range, whole, options);
    if (there !== undefined && there.sha512 !== sha512) await writePart(part, range, [], options);
    written.set(part.name, { size: part.size, sha512 });
    start += part.size;
  }
  const found = whole.digest();
  if (found === blob.sha512) return written;
  // Parts of a damaged blob are useless.
  for (const name of written.keys()) await storage.remove(name);
  throw new CacheError('digest-mismatch', `its bytes have the sha512 ${found}`);
}

interface PartRange {
  readonly name: string;
  readonly size: number;
}

async function writePart(
  { name, size }: PartRange,
  range: OpenObject,
  hashers: readonly Hasher[],
  { storage, onProgress, onWritten }: WriteOptions,
): Promise<Digest> {
  const hasher = createHasher();
  const writer = await storage.create(size);
  try {
    for await (const piece of readPieces(range)) {
      const writing = writer.write([piece]);
      for (const one of [hasher, ...hashers]) one.update(piece);
      await writing;
      onProgress(name, piece.byteLength);
    }
    await writer.commit(name);
    onWritten(size);
  } finally {
    await writer.abort();
  }
  return hasher.digest();
}

async function hashPart(
  { name }: PartRange,
  range: OpenObject,
  whole: Hasher,
  { onProgress }: WriteOptions,
): Promise<Digest> {
  const hasher = createHasher();
  for await (const piece of readPieces(range)) {
    hasher.update(piece);
    whole.update(piece);
    onProgress(name, piece.byteLength);
  }
  return hasher.digest();
}

/** A range of an open object, as an object. */
function rangeOf(object: OpenObject, start: number, size: number): OpenObject {
  return {
    size,
    modified: object.modified,
    read: (into, position) =>
      position >= size
        ? Promise.resolve(0)
        : object.read(into.subarray(0, Math.min(into.byteLength, size - position)), start + position),
    close: () => object.close(),
  };
}

/** Writes a small object with the same name as in the exporting store. */
export async function writeText(storage: ObjectStorage, name: string, text: string): Promise<MediumFile> {
  const bytes = Buffer.from(text);
  const writer = await storage.create(bytes.length);
  try {
    await writer.write([bytes]);
    await writer.commit(name);
  } finally {
    await writer.abort();
  }
  return { size: bytes.length, sha512: digestOf(bytes) };
}
