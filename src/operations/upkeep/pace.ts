import { setTimeout as sleep } from 'node:timers/promises';

/** Limits work to a number of bytes per second, so that a disk has time for other work, and makes it cancelable. */
export interface Pace {
  /** Await this before each piece of work. @throws the reason of `signal` when it is aborted */
  take(bytes: number): Promise<void>;
}

export interface PaceOptions {
  /** Bytes per second; default: unlimited. */
  readonly rate?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Milliseconds; shorter pauses aren't worth a timer. */
const SHORTEST_PAUSE_MS = 5;

export function createPace({ rate, signal }: PaceOptions = {}): Pace {
  let freeAt = performance.now();
  return {
    async take(bytes) {
      signal?.throwIfAborted();
      if (rate === undefined) return;
      const now = performance.now();
      // Unused time isn't saved up.
      freeAt = Math.max(freeAt, now) + (bytes / rate) * 1000;
      const pause = freeAt - (bytes / rate) * 1000 - now;
      if (pause >= SHORTEST_PAUSE_MS) await sleep(pause, undefined, signal === undefined ? {} : { signal });
    },
  };
}
