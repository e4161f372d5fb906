/** Runs work once for all who want the same at the same time. */
export type SingleFlight<Result> = (key: string, work: () => Promise<Result>) => Promise<Result>;

/** Nothing is kept once the work has ended, well or not. */
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
