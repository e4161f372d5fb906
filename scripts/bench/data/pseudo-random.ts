import { createCipheriv, createHash } from 'node:crypto';

/** Bytes of one piece. */
const PIECE = 1024 * 1024;

/** `size` bytes that can't be compressed, in pieces; the same seed gives the same ones. */
export function* pseudoRandom(seed: string, size: number): Generator<Buffer> {
  const key = createHash('sha256').update(seed).digest();
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(PIECE, size));
  for (let made = 0; made < size; made += PIECE)
    yield cipher.update(zeros.subarray(0, Math.min(PIECE, size - made)));
}
