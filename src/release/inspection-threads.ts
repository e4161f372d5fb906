import type { ArchiveContents, ArchiveInspector } from './archive-inspection.ts';
import { inspectionStopped } from './compression-fault.ts';
import { SLOT_SIZE, startThread, type InspectionThread } from './inspection-thread.ts';
import type { ReleaseGlimpse } from './release-contents.ts';

/**
 * Threads that inspect archives. The program keeps answering requests and signals, and an archive that takes too much
 * memory only ends its thread.
 */
export interface InspectionThreads {
  /**
   * `createArchiveInspector` in a thread.
   * @param size bytes of the archive
   * @throws CacheError `unavailable` when the system can't start a thread
   */
  open(size: number): ArchiveInspector;
  /** Ends the threads. Every inspector must have been ended or aborted. */
  close(): Promise<void>;
}

/** Starts threads on demand, and reuses them. */
export function createInspectionThreads(): InspectionThreads {
  const threads: InspectionThread[] = [];
  const idle: InspectionThread[] = [];

  function start(): InspectionThread {
    const thread = startThread();
    threads.push(thread);
    return thread;
  }

  return {
    open(size) {
      const thread = idle.pop() ?? start();
      return createRemoteInspector(thread, size, () => {
        void thread.settle().then((isGood) => isGood && idle.push(thread));
      });
    },
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

/** @param onDone is called when this archive needs the thread no more */
function createRemoteInspector(thread: InspectionThread, size: number, onDone: () => void): ArchiveInspector {
  let fault: { readonly error: unknown } | undefined;
  let isDone = false;

  const finish = (): void => {
    if (isDone) return;
    isDone = true;
    onDone();
  };

  async function guard<T>(run: () => Promise<T>): Promise<T> {
    if (fault !== undefined) throw fault.error;
    try {
      return await run();
    } catch (error) {
      fault ??= { error };
      finish();
      throw fault.error;
    }
  }

  async function write(chunk: Uint8Array): Promise<void> {
    for (let start = 0; start < chunk.length; start += SLOT_SIZE) {
      const bytes = chunk.subarray(start, start + SLOT_SIZE);
      new Uint8Array(thread.slot).set(bytes);
      await thread.ask({ action: 'write', slot: thread.slot, length: bytes.length });
    }
  }

  async function glimpse(): Promise<ReleaseGlimpse> {
    const answer = await thread.ask({ action: 'glimpse' });
    if (answer.glimpse === undefined) throw new Error('the answer has no glimpse');
    return answer.glimpse;
  }

  async function end(): Promise<ArchiveContents> {
    const { contents } = await thread.ask({ action: 'end' });
    if (contents === undefined) throw new Error('the answer has no contents');
    finish();
    return contents;
  }

  // The next request reports a failure.
  thread.ask({ action: 'open', size }).catch(() => undefined);
  return {
    write: (chunk) => guard(() => write(chunk)),
    glimpse: () => guard(glimpse),
    end: () => guard(end),
    abort() {
      if (isDone) return;
      fault ??= { error: inspectionStopped() };
      thread.ask({ action: 'abort' }).catch(() => undefined);
      finish();
    },
  };
}
