import { setTimeout as sleep } from 'node:timers/promises';
import type { Readable } from 'node:stream';
import { CacheError, StoreUnavailable } from '../cache/errors.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import type { S3Bucket, S3Stat } from './s3-bucket.ts';

/**
 * Bytes that come with the first request: all of an entry or a record. An object that is not larger stays readable after it
 * is removed.
 */
const FIRST = 320 * 1024;
/** Reads without a byte before a fault counts; the pauses between are random, up to 0.1, 0.2, … 3.2 s. */
const ATTEMPTS = 7;

/**
 * Opens an object to read. One request brings a small object; one stream the rest of a larger one, as long as it is read in
 * order. A broken stream goes on where it broke.
 * @returns undefined if it is missing
 */
export async function openS3Object(bucket: S3Bucket, name: string): Promise<OpenObject | undefined> {
  const opened = await readFirst(bucket, name);
  if (opened === undefined) return undefined;
  const { stat } = opened;
  let first: Buffer | undefined = opened.first;
  const stream = createStream(bucket, name, stat);
  let isClosed = false;
  /** A stream gives its bytes to one read at a time. */
  let turn: Promise<unknown> = Promise.resolve();

  const readNow = async (into: Uint8Array, position: number): Promise<number> => {
    if (isClosed) throw new Error(`${name} was closed`);
    if (position >= stat.size || into.byteLength === 0) return 0;
    if (first !== undefined && position < first.length)
      return first.copy(into, 0, position, position + into.byteLength);
    // Hundreds of slow downloads would keep it in memory.
    if (stat.size > FIRST) first = undefined;
    return stream.read(into, position);
  };

  return {
    size: stat.size,
    modified: stat.modified,
    isRemote: true,
    read(into, position) {
      const reading = turn.then(() => readNow(into, position));
      turn = reading.catch(() => undefined);
      return reading;
    },
    close() {
      isClosed = true;
      stream.close();
      return Promise.resolve();
    },
  };
}

interface First {
  readonly stat: S3Stat;
  readonly first: Buffer;
}

async function readFirst(bucket: S3Bucket, name: string): Promise<First | undefined> {
  return withAttempts(bucket, name, async () => {
    const got = await bucket.get(name, 0, FIRST - 1);
    if (got === undefined) return undefined;
    if (got === 'empty') {
      const stat = await bucket.head(name);
      if (stat === undefined) return undefined;
      // Replaced meanwhile.
      if (stat.size > 0) throw new BrokenRead('it was replaced');
      return { stat, first: Buffer.alloc(0) };
    }
    const { body, size, modified, etag } = got;
    const first = Buffer.allocUnsafeSlow(Math.min(size, FIRST));
    const source = createSource(body, bucket.patience);
    try {
      for (let filled = 0; filled < first.length;) filled += await source.take(first.subarray(filled));
    } finally {
      source.destroyUnlessRead();
    }
    return { stat: { size, modified, etag }, first };
  });
}

interface Stream {
  read(into: Uint8Array, position: number): Promise<number>;
  /** Ends the request. */
  close(): void;
}

/** The bytes of an object from any position on, in order. */
function createStream(bucket: S3Bucket, name: string, { size, etag }: S3Stat): Stream {
  let source: Source | undefined;
  let next = 0;
  let isClosed = false;
  const drop = (): void => {
    source?.destroy();
    source = undefined;
  };

  const begin = async (position: number): Promise<Source> => {
    drop();
    const got = await bucket.get(name, position);
    if (got === undefined || got === 'empty' || got.etag !== etag || got.size !== size) {
      if (typeof got === 'object') got.body.destroy();
      throw new CacheError(
        'unavailable',
        `${name} of ${bucket.url} was ${got === undefined ? 'removed' : 'replaced'} while it was read; read it again`,
      );
    }
    if (isClosed) {
      got.body.destroy();
      throw new Error(`${name} was closed`);
    }
    next = position;
    return (source = createSource(got.body, bucket.patience));
  };

  return {
    async read(into, position) {
      return withAttempts(bucket, name, async () => {
        try {
          const open = source !== undefined && next === position ? source : await begin(position);
          const count = await open.take(into.subarray(0, Math.min(into.byteLength, size - position)));
          next = position + count;
          return count;
        } catch (error) {
          drop();
          throw error;
        }
      });
    },
    close() {
      isClosed = true;
      drop();
    },
  };
}

/** The bytes of an answer. */
interface Source {
  /** Waits for bytes. @returns their number, 1 or more @throws BrokenRead */
  take(into: Uint8Array): Promise<number>;
  destroy(): void;
  /** Leaves a connection open if the whole answer was read. */
  destroyUnlessRead(): void;
}

function createSource(body: Readable, patience: number): Source {
  let rest: Buffer | undefined;
  let fault: Error | undefined;
  let isOver = false;
  let wake: () => void = () => undefined;
  const end = (error?: Error): void => {
    fault ??= error;
    isOver = true;
    wake();
  };
  body
    .on('readable', () => {
      wake();
    })
    .once('end', () => {
      end();
    })
    .once('close', () => {
      end();
    })
    // Stays, because a destroyed stream may report more.
    .on('error', end);

  const nextChunk = async (): Promise<Buffer> => {
    for (;;) {
      const chunk: unknown = body.read();
      if (chunk instanceof Buffer) return chunk;
      if (isOver) throw new BrokenRead(fault?.message ?? 'it was cut off');
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
        timer = setTimeout(() => {
          end(new Error(`no byte came in ${patience / 1000} s`));
        }, patience);
      });
      clearTimeout(timer);
    }
  };

  return {
    async take(into) {
      const chunk = rest ?? (await nextChunk());
      const count = Math.min(chunk.length, into.byteLength);
      into.set(chunk.subarray(0, count));
      rest = count < chunk.length ? chunk.subarray(count) : undefined;
      return count;
    },
    destroy: () => void body.destroy(),
    destroyUnlessRead() {
      if (rest !== undefined || fault !== undefined) {
        body.destroy();
        return;
      }
      // Reads the end, too: only then another request can use the connection.
      wake = () => void body.read();
      wake();
    },
  };
}

/** An answer that ended before its last byte. */
class BrokenRead extends Error {}

/** Repeats a read whose answer broke off. @throws CacheError `unavailable` */
async function withAttempts<T>(bucket: S3Bucket, name: string, read: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof BrokenRead)) throw error;
      if (attempt === ATTEMPTS)
        throw new StoreUnavailable(
          bucket.url,
          `can't read ${name} of ${bucket.url}: ${error.message}; try again later`,
          { cause: error },
        );
      await sleep(Math.random() * 100 * 2 ** (attempt - 1));
    }
  }
}
