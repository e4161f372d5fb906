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
  send(
    object: Pick<OpenObject, 'size' | 'read'>,
    part: ByteRange,
    outgoing: ServerResponse,
    writeHead: () => void,
  ): Promise<void>;
}

/** For clients that only look whether the blob is there, and for slow ones. */
const SMALL = 64 * 1024;
/** With two of these, loopback is as fast as it gets; more or larger ones gain nothing (docs/performance.md). */
const LARGE = 512 * 1024;
/** A piece that the socket took within this time was taken by a fast reader, who gets large pieces next. */
const FAST_MS = 20;
/**
 * Large buffers in use at once. A slow reader looks fast at first, while the system's own buffers fill: hundreds of
 * them together must not get large ones, be it for a moment.
 */
const LARGE_LIMIT = 40;
/** Small buffers kept for later. */
const SMALL_IDLE = 64;

/**
 * Two buffers take turns: while the socket has the one, the disk fills the other. A slow reader is given small
 * buffers, so that hundreds of them are no matter of memory.
 */
export function createBlobPump(): BlobPump {
  const buffers = createBufferPool();

  return {
    async send(object, { start, end }, outgoing, writeHead) {
      const gone = new Promise<false>((resolve) => {
        outgoing.once('close', () => {
          resolve(false);
        });
      });
      let position = start;
      // Whoever asks for a small part has room for it.
      let isFast = end - start < 2 * LARGE;
      const held = new Set<Buffer>();
      const readPiece = async (): Promise<Piece> => {
        const wanted = end - position + 1;
        const buffer = buffers.take(isFast ? wanted : Math.min(wanted, SMALL));
        held.add(buffer);
        const bytes = buffer.subarray(0, Math.min(buffer.length, wanted));
        for (let filled = 0; filled < bytes.length;) {
          const count = await object.read(bytes.subarray(filled), position);
          if (count === 0)
            throw new CacheError('storage', `a blob of ${object.size} bytes ends at byte ${position}`);
          filled += count;
          position += count;
        }
        return { buffer, bytes };
      };

      try {
        let current = position <= end ? await readPiece() : undefined;
        writeHead();
        while (current !== undefined) {
          const { buffer, bytes } = current;
          const begin = performance.now();
          const taken = Promise.race([gone, writePiece(outgoing, bytes)]);
          const reading = position <= end ? readPiece() : undefined;
          // The reading is waited for in any case: its buffer must not be used by two.
          const [isThere, next] = await Promise.all([taken, reading]);
          if (!isThere) return;
          held.delete(buffer);
          buffers.give(buffer);
          isFast = performance.now() - begin < FAST_MS;
          current = next;
        }
        outgoing.end();
      } finally {
        // The system may still look at these, or fill them: they aren't used again.
        for (const buffer of held) buffers.drop(buffer);
      }
    },
  };
}

interface Piece {
  readonly buffer: Buffer;
  /** The part of the buffer that was filled. */
  readonly bytes: Buffer;
}

interface BufferPool {
  /** A large buffer when more than a small one is wanted and there are any left, a small one otherwise. */
  take(wanted: number): Buffer;
  /** To be called with every buffer that nobody looks at any more. */
  give(buffer: Buffer): void;
  /** To be called with every other buffer. */
  drop(buffer: Buffer): void;
}

function createBufferPool(): BufferPool {
  const small: Buffer[] = [];
  const large: Buffer[] = [];
  let largeInUse = 0;
  const drop = (buffer: Buffer): void => {
    if (buffer.length === LARGE) largeInUse--;
  };
  return {
    take(wanted) {
      if (wanted > SMALL && largeInUse < LARGE_LIMIT) {
        largeInUse++;
        return large.pop() ?? Buffer.allocUnsafeSlow(LARGE);
      }
      return small.pop() ?? Buffer.allocUnsafeSlow(SMALL);
    },
    give(buffer) {
      drop(buffer);
      if (buffer.length === LARGE) large.push(buffer);
      else if (small.length < SMALL_IDLE) small.push(buffer);
    },
    drop,
  };
}

/** Resolves when the bytes are out of the process' hands: true, or false when the connection is gone. */
function writePiece(outgoing: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    outgoing.write(bytes, (error) => {
      resolve(!error);
    });
  });
}
