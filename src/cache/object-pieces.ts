import type { OpenObject } from './object-storage.ts';

/** Bytes; large, because a USB disk pauses before each answer. */
const PIECE_SIZE = 1024 * 1024;

/** The bytes of an open object, in order. A piece is valid until the next piece is requested. */
export async function* readPieces(object: Pick<OpenObject, 'read'>): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(PIECE_SIZE);
  for (let position = 0; ;) {
    const count = await object.read(buffer, position);
    if (count === 0) return;
    yield buffer.subarray(0, count);
    position += count;
  }
}

/** All bytes of an open object that is small enough for memory. */
export async function readWhole(object: Pick<OpenObject, 'read'>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of readPieces(object)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
