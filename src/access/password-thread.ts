import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { CacheError } from '../cache/errors.ts';
import { startWorker } from '../cache/worker-program.ts';
import type { PasswordHash } from './password-hash.ts';

/** `matchesHash`, asynchronous. */
export type MatchesHash = (password: string, known: PasswordHash) => Promise<boolean>;

/**
 * Checks passwords one after the other in a thread of low priority, which doesn't delay other requests. Starts the thread
 * on demand, also after it has died; it does not keep the process alive.
 * @throws CacheError `unavailable` when the system can't start a thread
 */
export function createPasswordThread(): MatchesHash {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const ask: MatchesHash = async (password, known) => {
    try {
      const asked = (worker ??= start());
      asked.postMessage({ password, known });
      // Rejects if the thread dies.
      const answer = once(asked, 'message') as Promise<[boolean]>;
      // After adding the listener, which would keep the process alive.
      asked.unref();
      return (await answer)[0];
    } catch (error) {
      throw new CacheError('unavailable', 'the system can start no thread to check passwords', {
        cause: error,
      });
    }
  };

  const start = (): Worker => {
    const started = startWorker('password-worker', import.meta.url);
    started.once('error', () => (worker = undefined));
    return started;
  };

  return (password, known) => {
    const result = last.then(() => ask(password, known));
    last = result.catch(() => undefined);
    return result;
  };
}
