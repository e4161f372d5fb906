import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { CacheError, systemCode, type ErrorCode } from '../cache/errors.ts';
import { startWorker } from '../cache/worker-program.ts';
import type { ArchiveContents } from './archive-inspection.ts';
import type { ReleaseGlimpse } from './release-contents.ts';

export type InspectionRequest = { readonly id: number } & InspectionAction;

type InspectionAction =
  | { readonly action: 'open'; readonly size: number }
  /** The bytes are the first ones of `slot`. */
  | { readonly action: 'write'; readonly slot: SharedArrayBuffer; readonly length: number }
  | { readonly action: 'glimpse' | 'end' | 'abort' | 'close' };

/** Each request gets one, not always in their order. */
export interface InspectionAnswer {
  readonly id: number;
  readonly glimpse?: ReleaseGlimpse | undefined;
  readonly contents?: ArchiveContents | undefined;
  readonly fault?: { readonly code: ErrorCode; readonly message: string };
}

/** Bytes that are handed over at a time. */
export const SLOT_SIZE = 1024 * 1024;

/** A thread that looks into one archive after the other. */
export interface InspectionThread {
  /** Memory that it shares, for the bytes on their way to it. */
  readonly slot: SharedArrayBuffer;
  /** @throws CacheError what the thread found wrong; whatever ended the thread */
  ask(action: InspectionAction): Promise<InspectionAnswer>;
  /** Resolves when nothing is asked any more: whether it may be asked again. */
  settle(): Promise<boolean>;
  close(): Promise<void>;
}

/** @throws CacheError `unavailable` when the system gives no thread */
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
    // While nobody waits for it, it keeps the program from ending no longer.
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
    throw new CacheError('unavailable', 'the system gives no thread to look into archives', { cause: error });
  }
}

function faultOfThread(error: unknown): unknown {
  if (systemCode(error) !== 'ERR_WORKER_OUT_OF_MEMORY') return error;
  return new CacheError(
    'unsupported-archive',
    'to look into it takes more memory than this machine has; import it on a larger one',
    { cause: error },
  );
}
