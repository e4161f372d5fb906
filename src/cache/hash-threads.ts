import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { Digest } from './digest.ts';
import { systemCode } from './errors.ts';

/** Threads that hash, so that whoever reads and writes the same bytes needn't wait for it. */
export interface HashThreads {
  /**
   * A stream of bytes that is hashed in the order in which it comes. To be closed in any case.
   * @returns undefined where the system gives no thread: there may be a limit for the service
   */
  open(): StreamHasher | undefined;
}

export interface StreamHasher {
  /** Resolves when the chunks may be reused, which is before they were hashed. One call at a time. */
  update(chunks: readonly Uint8Array[]): Promise<void>;
  /** Ends the stream; to be called once. */
  digest(): Promise<Digest>;
  /** Forgets the stream. Does nothing after `digest`. */
  close(): void;
}

/** Bytes that are handed over at a time. */
const SLOT_SIZE = 512 * 1024;
/** Each takes some 10 MiB for good once it was needed; so many hash faster than disks write. */
const MOST_THREADS = 8;
/** Memory on its way to the threads, shared by all streams: for each core one piece that is hashed, and others waiting. */
const SLOTS_PER_CORE = 3;

/** What each thread runs; as text, because the program runs from .ts and from .js files. */
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

/** What a thread answers: the oldest piece was hashed, or this is the digest. */
interface Answer {
  readonly stream: number;
  readonly digest?: Digest;
}

/** A piece or the end of a stream that was handed to a thread. */
interface Job {
  readonly slot?: SharedArrayBuffer;
  readonly resolve?: (digest: Digest) => void;
  readonly reject?: (reason: unknown) => void;
}

interface Thread {
  readonly worker: Worker;
  /** In the order in which they'll be answered. */
  readonly jobs: Job[];
  streams: number;
  fault?: Error;
}

/** Threads are started as they are needed, and keep no process from ending that doesn't wait for them. */
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
    // Last: to listen to it keeps the program from ending, too.
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

/** What fills memory with the bytes that come next, as far as there are any, and gives their number. */
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

/** Shared memory; whoever finds none left waits for the next that is given back. */
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
