import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { CacheError } from '../cache/errors.ts';
import { startWorker } from '../cache/worker-program.ts';
import type { PasswordHash } from './password-hash.ts';

/** As `matchesHash`, but later. */
export type MatchesHash = (password: string, known: PasswordHash) => Promise<boolean>;

/**
 * Checks passwords in a thread of low priority, one after the other: whoever needs none is served meanwhile. The thread is
 * started with the first password, and anew when it was lost; it keeps no process from ending.
 * @throws CacheError `unavailable` when the system gives no thread
 */
export function createPasswordThread(): MatchesHash {
  let worker: Worker | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const ask: MatchesHash = async (password, known) => {
    try {
      const asked = (worker ??= start());
      asked.postMessage({ password, known });
      // Rejects with the error of a thread that is lost.
      const answer = once(asked, 'message') as Promise<[boolean]>;
      // Last: to listen to it keeps the program from ending, too.
      asked.unref();
      return (await answer)[0];
    } catch (error) {
      throw new CacheError('unavailable', 'the system gives no thread to check passwords', { cause: error });
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
