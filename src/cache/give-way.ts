/** Milliseconds that signals, timers and the rest of a server may have to wait for a loop. */
const LONGEST_TURN = 20;

/**
 * For loops over what others wrote, of any length: to be awaited in each step. Awaiting what is there already lets nothing
 * else run.
 */
export function createGivingWay(): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < LONGEST_TURN) return;
    await new Promise((resolve) => setImmediate(resolve));
    since = performance.now();
  };
}
