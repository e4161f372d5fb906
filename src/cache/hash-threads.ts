import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { createHasher, type Digest } from './digest.ts';
import { systemCode } from './errors.ts';

/** Threads that hash bytes while the caller reads and writes them. */
export interface HashThreads {
  /**
   * Opens a stream of bytes to hash. Close it in any case.
   * @returns undefined when the system can't start a thread: the service may have a limit
   */
  open(): StreamHasher | undefined;
}

export interface StreamHasher {
  /** Resolves when the chunks may be reused, before they are hashed. One call at a time. */
  update(chunks: readonly Uint8Array[]): Promise<void>;
  /** Ends the stream; call it once. */
  digest(): Promise<Digest>;
  /** Forgets the stream. Does nothing after `digest`. */
  close(): void;
}

/** Bytes from which hashing in a thread is worth its overhead. */
const LARGE = 4 * 1024 * 1024;
/** Bytes of one `update` message. */
const SLOT_SIZE = 512 * 1024;
/** Each keeps some 10 MiB once started; eight hash faster than disks write. */
const MOST_THREADS = 8;
/** Shared memory of all streams: for each core one piece being hashed, and others waiting. */
const SLOTS_PER_CORE = 3;

/** The program of each thread; as text, because this module may be a .ts or a .js file. */
const PROGRAM = `
const { createHash } = require('node:crypto');
const { parentPort } = require('node:worker_threads');
const hashes = new Map();
parentPort.on('message', ({ stream, action, slot, length }) => {
  if (action === 'update') {
    if (!hashes.has(stream)) hashes.set(stream, createHash('sha512'));
    hashes.get(stream).update(new Uint8Array(slot, 0, length));
    parentPort.postMessage({ stream });
    return;
  }
  const hash = hashes.get(stream) ?? createHash('sha512');
  hashes.delete(stream);
  if (action === 'digest') parentPort.postMessage({ stream, digest: hash.digest('hex') });
});
`;

/** The answer of a thread: the oldest piece was hashed, or the digest. */
interface Answer {
  readonly stream: number;
  readonly digest?: Digest;
}

/** A piece or the end of a stream, sent to a thread. */
interface Job {
  readonly slot?: SharedArrayBuffer;
  readonly resolve?: (digest: Digest) => void;
  readonly reject?: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /** In the order of their answers. */
  readonly jobs: Job[];
  streams: number;
  fault?: Error;
}

/** Starts threads on demand; idle threads don't keep the process alive. */
export function createHashThreads(
  count: number = Math.min(availableParallelism(), MOST_THREADS),
): HashThreads {
  const threads: Thread[] = [];
  const slots = createSlots(count * SLOTS_PER_CORE);
  let lastStream = 0;

  function start(): Thread | undefined {
    let worker: Worker;
    try {
      worker = new Worker(PROGRAM, { eval: true, execArgv: [] });
    } catch (error) {
      if (systemCode(error) === 'ERR_WORKER_INIT_FAILED') return undefined;
      throw error;
    }
    const thread: Thread = { worker, jobs: [], streams: 0 };
    threads.push(thread);
    worker.on('message', ({ digest }: Answer) => {
      const job = thread.jobs.shift();
      if (thread.jobs.length === 0) worker.unref();
      if (job?.slot !== undefined) slots.give(job.slot);
      if (digest !== undefined) job?.resolve?.(digest);
    });
    worker.once('error', (error) => {
      thread.fault = error;
      threads.splice(threads.indexOf(thread), 1);
      for (const { slot, reject } of thread.jobs.splice(0)) {
        if (slot !== undefined) slots.give(slot);
        reject?.(error);
      }
    });
    // After adding the listeners, which would keep the process alive.
    worker.unref();
    return thread;
  }

  function leastBusy(): Thread | undefined {
    const [first, ...others] = threads;
    if (first === undefined) return start();
    const least = others.reduce((best, thread) => (thread.streams < best.streams ? thread : best), first);
    return (least.streams > 0 && threads.length < count ? start() : undefined) ?? least;
  }

  return {
    open() {
      const thread = leastBusy();
      if (thread === undefined) return undefined;
      const stream = ++lastStream;
      let isOpen = true;
      thread.streams++;
      const leave = (): void => {
        isOpen = false;
        thread.streams--;
      };
      const post = (job: Job, message: Readonly<Record<string, unknown>>): void => {
        if (thread.fault !== undefined) {
          if (job.slot !== undefined) slots.give(job.slot);
          throw thread.fault;
        }
        thread.jobs.push(job);
        thread.worker.ref();
        thread.worker.postMessage({ stream, ...message });
      };
      return {
        async update(chunks) {
          const copyNext = copierOf(chunks);
          for (let left = chunks.reduce((sum, { length }) => sum + length, 0); left > 0;) {
            const slot = await slots.take();
            const length = copyNext(new Uint8Array(slot));
            post({ slot }, { action: 'update', slot, length });
            left -= length;
          }
        },
        digest: () =>
          new Promise((resolve, reject) => {
            leave();
            post({ resolve, reject }, { action: 'digest' });
          }),
        close() {
          if (!isOpen) return;
          leave();
          if (thread.fault === undefined) thread.worker.postMessage({ stream, action: 'close' });
        },
      };
    },
  };
}

/** Hashes in a thread if there are threads, and the stream is known to be large; else in the calling one. */
export function openHasher(threads: HashThreads | undefined, size: number | undefined): StreamHasher {
  return (size !== undefined && size >= LARGE ? threads?.open() : undefined) ?? hashHere();
}

function hashHere(): StreamHasher {
  const hasher = createHasher();
  return {
    update(chunks) {
      for (const chunk of chunks) hasher.update(chunk);
      return Promise.resolve();
    },
    digest: () => Promise.resolve(hasher.digest()),
    close: () => undefined,
  };
}

/** Returns a function that copies the next bytes of the chunks into memory, and returns their number. */
function copierOf(chunks: readonly Uint8Array[]): (into: Uint8Array) => number {
  let index = 0;
  let offset = 0;
  return (into) => {
    let filled = 0;
    for (let chunk = chunks[index]; chunk !== undefined && filled < into.length; chunk = chunks[index]) {
      const part = chunk.subarray(offset, offset + into.length - filled);
      into.set(part, filled);
      filled += part.length;
      offset += part.length;
      if (offset < chunk.length) break;
      index++;
      offset = 0;
    }
    return filled;
  };
}

/** A pool of shared memory; `take` waits while all is in use. */
function createSlots(limit: number): {
  readonly take: () => Promise<SharedArrayBuffer>;
  readonly give: (slot: SharedArrayBuffer) => void;
} {
  const idle: SharedArrayBuffer[] = [];
  const waiting: ((slot: SharedArrayBuffer) => void)[] = [];
  let made = 0;
  return {
    async take() {
      const slot = idle.pop();
      if (slot !== undefined) return slot;
      if (made < limit) {
        made++;
        return new SharedArrayBuffer(SLOT_SIZE);
      }
      return new Promise((resolve) => waiting.push(resolve));
    },
    give(slot) {
      const next = waiting.shift();
      if (next === undefined) idle.push(slot);
      else next(slot);
    },
  };
}
