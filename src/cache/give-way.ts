/** Milliseconds that a loop may delay signals, timers and requests. */
const LONGEST_TURN = 20;

/**
 * For loops over input of any length, to be awaited in each step: a resolved promise lets no timer or request run.
 * @param longestTurn milliseconds
 */
export function createGivingWay(longestTurn = LONGEST_TURN): () => Promise<void> {
  let since = performance.now();
  return async () => {
    if (performance.now() - since < longestTurn) return;
    await new Promise((resolve) => setImmediate(resolve));
    since = performance.now();
  };
}
