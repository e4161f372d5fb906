import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { CacheError, systemCode, type ErrorCode } from '../cache/errors.ts';
import { startWorker } from '../cache/worker-program.ts';
import type { ArchiveContents } from './archive-inspection.ts';
import type { ReleaseGlimpse } from './release-contents.ts';

export type InspectionRequest = { readonly id: number } & InspectionAction;

type InspectionAction =
  | { readonly action: 'open'; readonly size: number }
  /** The first `length` bytes of `slot`. */
  | { readonly action: 'write'; readonly slot: SharedArrayBuffer; readonly length: number }
  | { readonly action: 'glimpse' | 'end' | 'abort' | 'close' };

/** Each request gets one answer, not always in order. */
export interface InspectionAnswer {
  readonly id: number;
  readonly glimpse?: ReleaseGlimpse | undefined;
  readonly contents?: ArchiveContents | undefined;
  readonly fault?: { readonly code: ErrorCode; readonly message: string };
}

/** Bytes of one `write`. */
export const SLOT_SIZE = 1024 * 1024;

/** A thread that inspects one archive after the other. */
export interface InspectionThread {
  /** Shared memory that carries the bytes to the thread. */
  readonly slot: SharedArrayBuffer;
  /** @throws CacheError the fault of the archive; any error that ended the thread */
  ask(action: InspectionAction): Promise<InspectionAnswer>;
  /** Resolves when no request is pending: whether the thread can be used again. */
  settle(): Promise<boolean>;
  close(): Promise<void>;
}

/** @throws CacheError `unavailable` when the system can't start a thread */
export function startThread(): InspectionThread {
  const worker = startOrRefuse();
  const waiting = new Map<
    number,
    { resolve: (answer: InspectionAnswer) => void; reject: (error: unknown) => void }
  >();
  let lastId = 0;
  let settled: (() => void) | undefined;
  let death: { readonly error: unknown } | undefined;

  const release = (id: number): void => {
    waiting.delete(id);
    if (waiting.size > 0) return;
    // An idle thread must not keep the program alive.
    worker.unref();
    settled?.();
  };
  worker.on('message', (answer: InspectionAnswer) => {
    waiting.get(answer.id)?.resolve(answer);
    release(answer.id);
  });
  worker.on('error', (error) => {
    death = { error: faultOfThread(error) };
    for (const [id, { reject }] of waiting) {
      reject(death.error);
      release(id);
    }
  });
  worker.unref();

  async function ask(action: InspectionAction): Promise<InspectionAnswer> {
    const answer = await new Promise<InspectionAnswer>((resolve, reject) => {
      if (death !== undefined) throw death.error;
      const id = ++lastId;
      waiting.set(id, { resolve, reject });
      worker.ref();
      worker.postMessage({ id, ...action } satisfies InspectionRequest);
    });
    if (answer.fault !== undefined) throw new CacheError(answer.fault.code, answer.fault.message);
    return answer;
  }

  return {
    slot: new SharedArrayBuffer(SLOT_SIZE),
    ask,
    async settle() {
      if (waiting.size > 0) await new Promise<void>((resolve) => (settled = resolve));
      return death === undefined;
    },
    async close() {
      if (death !== undefined) return;
      const ended = once(worker, 'exit');
      worker.ref();
      await ask({ action: 'close' });
      worker.ref();
      await ended;
    },
  };
}

function startOrRefuse(): Worker {
  try {
    return startWorker('inspection-worker', import.meta.url);
  } catch (error) {
    if (systemCode(error) !== 'ERR_WORKER_INIT_FAILED') throw error;
    throw new CacheError('unavailable', 'the system can start no thread to inspect archives', {
      cause: error,
    });
  }
}

function faultOfThread(error: unknown): unknown {
  if (systemCode(error) !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new CacheError(
    'unsupported-archive',
    'inspecting it takes more memory than this machine has; import it on a larger machine',
    { cause: error },
  );
}
