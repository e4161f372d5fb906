import { createHasher, type Digest } from '../../cache/digest.ts';
import type { OpenObject } from '../../cache/object-storage.ts';
import type { Pace } from './pace.ts';

/** Small enough that hashing a piece delays a server's other answers by less than a millisecond. */
const PIECE_SIZE = 256 * 1024;
/** Minimum disk cost of a read, in bytes. */
const SMALLEST_COST = 4096;

/** The sha512 of an object's current bytes. Reads one piece ahead while hashing. @throws CacheError `storage` */
export async function hashBlob(
  object: OpenObject,
  pace: Pace,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<Digest> {
  const hasher = createHasher();
  const buffers = [Buffer.allocUnsafeSlow(PIECE_SIZE), Buffer.allocUnsafeSlow(PIECE_SIZE)] as const;
  const readAt = async (turn: number, position: number): Promise<Buffer> => {
    const buffer = buffers[turn % 2 === 0 ? 0 : 1];
    const left = object.size - position;
    if (left > 0) await pace.take(Math.max(SMALLEST_COST, Math.min(left, PIECE_SIZE)));
    return buffer.subarray(0, await object.read(buffer, position));
  };
  let position = 0;
  let piece = await readAt(0, position);
  for (let turn = 1; piece.length > 0; turn++) {
    position += piece.length;
    const reading = readAt(turn, position);
    // The read may fail during hashing; it is awaited below.
    reading.catch(() => undefined);
    hasher.update(piece);
    onProgress(piece.length);
    piece = await reading;
  }
  return hasher.digest();
}
