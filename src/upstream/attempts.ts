import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError } from '../cache/errors.ts';

/** How often, and how soon, to try again. */
export interface Patience {
  /** Tries without any progress between them. */
  readonly attempts: number;
  /** Milliseconds to wait after the first failure; doubles after each further one. */
  readonly firstDelay: number;
}

/** Half a minute in all: enough for a restart of the server or a short network failure. */
export const PATIENT: Patience = { attempts: 5, firstDelay: 2000 };

/** For interactive commands. */
export const IMPATIENT: Patience = { attempts: 1, firstDelay: 0 };

const LONGEST_DELAY_MS = 60_000;

/**
 * Bytes that an answer must bring, or that a server must take of an upload, within the idle limit (a minute), so that a slow
 * server can't block a command forever.
 */
export const LEAST_PROGRESS = 128 * 1024;

/** A temporary fault: a lost connection, an overloaded server. */
export class PassingFault extends CacheError {
  /** `Retry-After` of the server, in milliseconds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, { cause, retryAfter }: { cause?: unknown; retryAfter?: number } = {}) {
    super('unavailable', message, { cause });
    this.retryAfter = retryAfter;
  }
}

/** Counts consecutive failures. */
export interface Attempts {
  /** There was progress: forgets earlier failures. */
  succeed(): void;
  /** Waits before the next attempt. @throws the error, not as a `PassingFault`, when no attempt is left or useful */
  fail(error: unknown): Promise<void>;
}

export function createAttempts({ attempts, firstDelay }: Patience): Attempts {
  let failed = 0;
  return {
    succeed: () => {
      failed = 0;
    },
    async fail(error) {
      if (!(error instanceof PassingFault)) throw error;
      failed++;
      if (failed >= attempts) {
        const times = attempts === 1 ? '' : `; tried ${attempts} times`;
        throw new CacheError('unavailable', error.message + times, { cause: error });
      }
      await sleep(Math.min(LONGEST_DELAY_MS, error.retryAfter ?? firstDelay * 2 ** (failed - 1)));
    },
  };
}

/** Repeats `act` while it fails with a `PassingFault` and there are attempts left. */
export async function persist<Result>(patience: Patience, act: () => Promise<Result>): Promise<Result> {
  const attempts = createAttempts(patience);
  for (;;) {
    try {
      return await act();
    } catch (error) {
      await attempts.fail(error);
    }
  }
}
