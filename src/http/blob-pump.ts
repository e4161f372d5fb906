import type { ServerResponse } from 'node:http';
import { CacheError } from '../cache/errors.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import type { ByteRange } from './range.ts';

/** Sends stored bytes from disk to socket without a stream. */
export interface BlobPump {
  /**
   * Sends a part of the object, and ends the answer. Stops reading when the client disconnects, which is no error.
   * @param writeHead called after the first bytes were read, so that a disk fault before still gets a 5xx answer
   * @throws CacheError `storage`
   */
  send(
    object: Pick<OpenObject, 'size' | 'read'>,
    part: ByteRange,
    outgoing: ServerResponse,
    writeHead: () => void,
  ): Promise<void>;
}

/** Bytes of the buffers for first pieces and for slow clients. */
const SMALL = 64 * 1024;
/** Bytes of the buffers for fast clients; two of them saturate loopback (docs/performance.md). */
const LARGE = 512 * 1024;
/** A client that takes a piece within this time gets large pieces next. */
const FAST_MS = 20;
/**
 * Most large buffers in use. A slow client looks fast while the system's own buffers fill: hundreds of them must not get
 * large ones.
 */
const LARGE_LIMIT = 40;
/** Most idle small buffers. */
const SMALL_IDLE = 64;

/**
 * Alternates two buffers: the disk fills one while the socket sends the other. Slow clients get small buffers, so that
 * hundreds of them take little memory.
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
      // A client that requests a small part has room for it.
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
          // Always awaits the reading: its buffer must not be used twice.
          const [isThere, next] = await Promise.all([taken, reading]);
          if (!isThere) return;
          held.delete(buffer);
          buffers.give(buffer);
          isFast = performance.now() - begin < FAST_MS;
          current = next;
        }
        outgoing.end();
      } finally {
        // The system may still use these: they must not be reused.
        for (const buffer of held) buffers.drop(buffer);
      }
    },
  };
}

interface Piece {
  readonly buffer: Buffer;
  /** The filled part of the buffer. */
  readonly bytes: Buffer;
}

interface BufferPool {
  /** A large buffer if `wanted` exceeds a small one and the limit allows it; otherwise a small one. */
  take(wanted: number): Buffer;
  /** Returns a buffer that is no longer in use. */
  give(buffer: Buffer): void;
  /** Gives up a buffer that may still be in use. */
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

/** Resolves when the system has the bytes: true, or false when the connection is lost. */
function writePiece(outgoing: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    outgoing.write(bytes, (error) => {
      resolve(!error);
    });
  });
}
