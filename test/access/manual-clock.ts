import type { Clock } from '../../src/access/clock.ts';

/** A clock that stands still until it is moved. */
export interface ManualClock extends Clock {
  /** Lengths in ms of the delays that still run, in the order of their begin. */
  readonly delays: readonly number[];
  advance(ms: number): void;
}

export function createManualClock(): ManualClock {
  let time = 1000;
  let waiting: { readonly ms: number; readonly end: number; readonly resolve: () => void }[] = [];
  return {
    now: () => time,
    delay: (ms) =>
      new Promise((resolve) => {
        waiting.push({ ms, end: time + ms, resolve });
      }),
    get delays() {
      return waiting.map(({ ms }) => ms);
    },
    advance(ms) {
      time += ms;
      const due = waiting.filter(({ end }) => end <= time);
      waiting = waiting.filter(({ end }) => end > time);
      for (const { resolve } of due) resolve();
    },
  };
}
