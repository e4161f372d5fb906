import { setTimeout } from 'node:timers/promises';

/** Time as this room needs it. */
export interface Clock {
  /** Milliseconds since some moment, more than 0; never goes back. */
  now(): number;
  /** Resolves after so many milliseconds. Does not keep the process alive. */
  delay(ms: number): Promise<void>;
}

export const monotonicClock: Clock = {
  now: () => performance.now(),
  delay: (ms) => setTimeout(ms, undefined, { ref: false }),
};
