/** Shares the result of running work among all concurrent calls with the same key. */
export type SingleFlight<Result> = (key: string, work: () => Promise<Result>) => Promise<Result>;

/** Forgets each result, and each error, when its work has ended. */
export function createSingleFlight<Result>(): SingleFlight<Result> {
  const running = new Map<string, Promise<Result>>();
  return (key, work) => {
    const shared = running.get(key);
    if (shared !== undefined) return shared;
    const result = work().finally(() => running.delete(key));
    running.set(key, result);
    return result;
  };
}
