import { createHasher, digestOf } from '../../cache/digest.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { readPieces } from '../../cache/object-pieces.ts';
import type { MediumFile } from './manifest.ts';

/**
 * Reads an object to its end.
 * @returns undefined if it is missing
 * @throws CacheError `storage`
 */
export async function digestObject(
  storage: Pick<ObjectStorage, 'open'>,
  name: string,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<MediumFile | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  try {
    const hasher = createHasher();
    let size = 0;
    for await (const piece of readPieces(object)) {
      hasher.update(piece);
      size += piece.byteLength;
      onProgress(piece.byteLength);
    }
    return { size, sha512: hasher.digest() };
  } finally {
    await object.close();
  }
}

/** An object that is small enough for memory. */
export interface SmallObject extends MediumFile {
  readonly text: string;
}

/**
 * @param limit largest size in bytes
 * @returns undefined if it is missing or larger
 * @throws CacheError `storage`
 */
export async function readObject(
  storage: ObjectStorage,
  name: string,
  limit: number,
): Promise<SmallObject | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  try {
    if (object.size > limit) return undefined;
    const pieces: Buffer[] = [];
    for await (const piece of readPieces(object)) pieces.push(Buffer.from(piece));
    const bytes = Buffer.concat(pieces);
    return { size: bytes.length, sha512: digestOf(bytes), text: bytes.toString('utf8') };
  } finally {
    await object.close();
  }
}
