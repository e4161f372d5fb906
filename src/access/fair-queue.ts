import { CacheError } from '../cache/errors.ts';

/** Runs a few tasks at a time. Waiting lanes take turns, so that a full lane delays another one by one task at most. */
export interface FairQueue {
  /**
   * @returns what the task returns
   * @throws CacheError `unavailable` when too many tasks wait
   */
  run<Result>(lane: string, task: () => Promise<Result>): Promise<Result>;
}

export interface FairQueueLimits {
  readonly concurrency: number;
  readonly maxWaiting: number;
}

export function createFairQueue({ concurrency, maxWaiting }: FairQueueLimits): FairQueue {
  // In the order of their turns.
  const lanes = new Map<string, (() => void)[]>();
  let running = 0;
  let waiting = 0;

  const startNext = (): boolean => {
    for (const [lane, [first, ...others]] of lanes) {
      lanes.delete(lane);
      if (others.length > 0) lanes.set(lane, others);
      waiting--;
      first?.();
      return true;
    }
    return false;
  };

  return {
    async run(lane, task) {
      if (running < concurrency) {
        running++;
      } else {
        if (waiting >= maxWaiting) {
          throw new CacheError('unavailable', 'too many passwords are being checked; try again later');
        }
        waiting++;
        // A task that ends starts the next.
        await new Promise<void>((resolve) => {
          lanes.set(lane, [...(lanes.get(lane) ?? []), resolve]);
        });
      }
      try {
        return await task();
      } finally {
        if (!startNext()) running--;
      }
    },
  };
}
