import { createHasher, digestOf } from '../../cache/digest.ts';
import { CacheError, throwUnlessOfData } from '../../cache/errors.ts';
import type { ObjectStorage, OpenObject } from '../../cache/object-storage.ts';
import { readPieces, readWhole } from '../../cache/object-pieces.ts';
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
    const bytes = await readWhole(object);
    return { size: bytes.length, sha512: digestOf(bytes), text: bytes.toString('utf8') };
  } finally {
    await object.close();
  }
}

/**
 * The bytes of an object on a medium. A piece is valid until the next is requested.
 * @param lack says that it is missing
 * @param where begins the message of a fault
 * @throws CacheError `invalid-medium`: it can't be read, which concerns this object only
 */
export async function* readOnMedium(
  open: () => Promise<OpenObject | undefined>,
  lack: string,
  where = '',
): AsyncGenerator<Uint8Array> {
  try {
    const object = await open();
    if (object === undefined) throw new CacheError('storage', lack);
    try {
      yield* readPieces(object);
    } finally {
      await object.close();
    }
  } catch (error) {
    throwUnlessOfData(error);
    throw new CacheError('invalid-medium', `${where}${error.message}`, { cause: error });
  }
}
