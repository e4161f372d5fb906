import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';

/** Threads that compress, one for each core. */
export interface GzipWorkers {
  /** How many blocks are worth handing over before the first one is done. */
  readonly atOnce: number;
  /** A gzip member of its own (RFC 1952). `block` is given away: it's empty afterwards. */
  compress(block: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** Ends the threads, whatever they do. */
  close(): Promise<void>;
}

/**
 * The level of gzip(1) and of `tar -czf`. Node's zlib leaves 1 to 2 % more than gzip(1) does on compiled software; a
 * memLevel below the usual 8, which ends deflate blocks earlier, takes back half a percent and costs no time.
 */
const SETTINGS = { level: 6, memLevel: 6 };

/**
 * What each thread runs; as text, because the program runs from .ts and from .js files. Threads of their own, because
 * libuv's pool, which `zlib.gzip` runs in, has four however many cores there are.
 */
const PROGRAM = `
const { parentPort } = require('node:worker_threads');
const { gzipSync } = require('node:zlib');
parentPort.on('message', (block) => {
  // A buffer large enough that the result is one piece of it, and need not be put together.
  const member = gzipSync(block, { ...${JSON.stringify(SETTINGS)}, chunkSize: block.length + 65536 });
  parentPort.postMessage(member, [member.buffer]);
});
`;

interface Job {
  readonly block: Uint8Array<ArrayBuffer>;
  readonly resolve: (member: Uint8Array) => void;
  readonly reject: (reason: unknown) => void;
}

/** Threads are started as they are needed. */
export function createGzipWorkers(count: number = availableParallelism()): GzipWorkers {
  const workers: Worker[] = [];
  const idle: Worker[] = [];
  const jobs = new Map<Worker, Job>();
  const waiting: Job[] = [];

  function assign(): void {
    const worker = idle.pop() ?? (workers.length < count ? start() : undefined);
    const job = worker === undefined ? undefined : waiting.shift();
    if (worker === undefined || job === undefined) return;
    jobs.set(worker, job);
    worker.postMessage(job.block, [job.block.buffer]);
  }

  function start(): Worker {
    const worker = new Worker(PROGRAM, { eval: true, execArgv: [] });
    workers.push(worker);
    worker.on('message', (member: Uint8Array) => {
      jobs.get(worker)?.resolve(member);
      jobs.delete(worker);
      idle.push(worker);
      if (waiting.length > 0) assign();
    });
    worker.on('error', (error) => {
      for (const { reject } of [...jobs.values(), ...waiting.splice(0)]) reject(error);
    });
    return worker;
  }

  return {
    atOnce: 2 * count,
    compress: (block) =>
      new Promise((resolve, reject) => {
        waiting.push({ block, resolve, reject });
        assign();
      }),
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
