import { createBlobs, type Blobs } from '../../cache/blobs.ts';
import { digestOf, type Digest } from '../../cache/digest.ts';
import { CacheError } from '../../cache/errors.ts';
import { blobName, partName } from '../../cache/layout.ts';
import type { ObjectStorage, OpenObject } from '../../cache/object-storage.ts';
import { readPieces } from '../../cache/object-pieces.ts';
import { sizesOfParts, type SplitStorage } from '../../storage/split-storage.ts';
import type { WrittenPart } from '../../storage/split-writer.ts';
import type { MediumFile } from './manifest.ts';

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
  readonly storage: SplitStorage;
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
  return sizesOfParts(size, partSize).map((one, index) => ({ name: partName(sha512, index + 1), size: one }));
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
    return await writeBytes(blob, object, options);
  } finally {
    await object.close();
  }
}

async function writeBytes(
  { sha512, size, partSize }: PlannedBlob,
  object: OpenObject,
  { storage, onProgress, onWritten }: WriteOptions,
): Promise<Written> {
  const name = blobName(sha512);
  const written: Written = new Map(partSize === undefined ? [[name, { size, sha512 }]] : []);
  const onPart = (part: WrittenPart): void => {
    written.set(part.name, { size: part.size, sha512: part.sha512 });
    if (part.isNew) onWritten(part.size);
  };
  const resume = { create: () => storage.resume(name, size, partSize ?? size, onPart) };
  const blobs = createBlobs(partSize === undefined ? storage : { ...storage, ...resume });
  const writer = await blobs.create({ digest: sha512, size });
  try {
    for await (const piece of readPieces(object)) {
      await writer.write([piece]);
      onProgress(sha512, piece.byteLength);
    }
    await writer.commit();
    if (partSize === undefined) onWritten(size);
    return written;
  } catch (error) {
    // Parts of a damaged blob are useless.
    if (error instanceof CacheError && error.code === 'digest-mismatch') await storage.remove(name);
    throw error;
  } finally {
    await writer.abort();
  }
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
