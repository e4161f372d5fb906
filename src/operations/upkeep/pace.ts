import { setTimeout as sleep } from 'node:timers/promises';

/** Keeps work to a number of bytes a second, so that a disk has time for others, and lets it be given up. */
export interface Pace {
  /** To be awaited before each piece of work. @throws the reason of `signal` when it was given up */
  take(bytes: number): Promise<void>;
}

export interface PaceOptions {
  /** Bytes a second; as fast as it goes unless told. */
  readonly rate?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Shorter pauses aren't worth a timer, milliseconds. */
const SHORTEST_PAUSE_MS = 5;

export function createPace({ rate, signal }: PaceOptions = {}): Pace {
  let freeAt = performance.now();
  return {
    async take(bytes) {
      signal?.throwIfAborted();
      if (rate === undefined) return;
      const now = performance.now();
      // Time that was not used isn't saved up.
      freeAt = Math.max(freeAt, now) + (bytes / rate) * 1000;
      const pause = freeAt - (bytes / rate) * 1000 - now;
      if (pause >= SHORTEST_PAUSE_MS) await sleep(pause, undefined, signal === undefined ? {} : { signal });
    },
  };
}
