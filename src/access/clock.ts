import { setTimeout } from 'node:timers/promises';

/** A monotonic clock. */
export interface Clock {
  /** Milliseconds, more than 0; never goes back. */
  now(): number;
  /** Resolves after `ms` milliseconds. Does not keep the process alive. */
  delay(ms: number): Promise<void>;
}

export const monotonicClock: Clock = {
  now: () => performance.now(),
  delay: (ms) => setTimeout(ms, undefined, { ref: false }),
};
