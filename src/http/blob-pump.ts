import type { ServerResponse } from 'node:http';
import { CacheError } from '../cache/errors.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import type { ByteRange } from './range.ts';

/** Sends stored bytes without a stream between disk and socket. */
export interface BlobPump {
  /**
   * Sends a part of the object, and ends the answer. A client that goes away stops the reading at once and is no error.
   * @param writeHead called when the first bytes are there: a disk that fails before can still be answered with a 5xx
   * @throws CacheError `storage`
   */
  send(object: OpenObject, part: ByteRange, outgoing: ServerResponse, writeHead: () => void): Promise<void>;
}

/** The first pieces: for clients that only look whether the blob is there, and for slow ones. */
const SMALL = 64 * 1024;
/** With two of these, loopback is as fast as it gets; more or larger ones gain nothing (docs/performance.md). */
const LARGE = 512 * 1024;
/** A piece that the socket took within this time was taken by a fast reader, who gets large pieces next. */
const FAST_MS = 20;
/** Pairs of large buffers kept for the next download; beyond these, the garbage collector has them. */
const IDLE_BUFFERS = 32;

/**
 * Two buffers take turns: while the socket has the one, the disk fills the other. A slow reader is given small
 * buffers, so that hundreds of them are no matter of memory.
 */
export function createBlobPump(): BlobPump {
  const idle: Record<number, Buffer[]> = { [SMALL]: [], [LARGE]: [] };
  const take = (size: number): Buffer => idle[size]?.pop() ?? Buffer.allocUnsafeSlow(size);
  const give = (buffer: Buffer): void => {
    const list = idle[buffer.length];
    if (list !== undefined && list.length < IDLE_BUFFERS) list.push(buffer);
  };

  return {
    async send(object, { start, end }, outgoing, writeHead) {
      const gone = new Promise<false>((resolve) => {
        outgoing.once('close', () => {
          resolve(false);
        });
      });
      let position = start;
      let pieceSize = SMALL;
      const readPiece = async (): Promise<{ buffer: Buffer; piece: Buffer }> => {
        const buffer = take(pieceSize);
        const piece = buffer.subarray(0, Math.min(buffer.length, end - position + 1));
        for (let filled = 0; filled < piece.length;) {
          const count = await object.read(piece.subarray(filled), position);
          if (count === 0)
            throw new CacheError('storage', `a blob of ${object.size} bytes ends at byte ${position}`);
          filled += count;
          position += count;
        }
        return { buffer, piece };
      };

      let current = position <= end ? await readPiece() : undefined;
      writeHead();
      while (current !== undefined && !outgoing.destroyed) {
        const { buffer, piece } = current;
        const begin = performance.now();
        const taken = Promise.race([gone, writePiece(outgoing, piece)]);
        const reading = position <= end ? readPiece() : undefined;
        // The reading is waited for in any case: its buffer must not be used by two.
        const [there, next] = await Promise.all([taken, reading]);
        // A buffer that the kernel may still look at is not given back.
        if (there) give(buffer);
        else return;
        pieceSize = performance.now() - begin < FAST_MS ? LARGE : SMALL;
        current = next;
      }
      outgoing.end();
    },
  };
}

/** Resolves when the bytes are out of the process' hands: true, or false when the connection is gone. */
function writePiece(outgoing: ServerResponse, piece: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    outgoing.write(piece, (error) => {
      resolve(!error);
    });
  });
}
