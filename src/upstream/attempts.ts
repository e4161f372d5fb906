import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError } from '../cache/errors.ts';

/** How often something is tried. */
export interface Patience {
  /** Tries without any progress between them. */
  readonly attempts: number;
  /** Wait after the first that fails, in milliseconds; twice as long after each further one. */
  readonly firstDelay: number;
}

/** Half a minute in all: enough for a server to start again, or a line to come back. */
export const PATIENT: Patience = { attempts: 5, firstDelay: 2000 };

/** For whoever looks at the screen meanwhile. */
export const IMPATIENT: Patience = { attempts: 1, firstDelay: 0 };

const LONGEST_DELAY_MS = 60_000;

/** A fault that may pass: a lost connection, a server that is overloaded. */
export class PassingFault extends CacheError {
  /** When the other side says to come back, in milliseconds from now. */
  readonly retryAfter: number | undefined;

  constructor(message: string, { cause, retryAfter }: { cause?: unknown; retryAfter?: number } = {}) {
    super('unavailable', message, { cause });
    this.retryAfter = retryAfter;
  }
}

/** Counts what fails, one after the other. */
export interface Attempts {
  /** Something came through: what failed before counts no more. */
  succeed(): void;
  /** Waits, as long as there is a reason to try again. @throws the error when there is none; it is no `PassingFault` then */
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

/** Does something again as long as it fails with a `PassingFault` and there are attempts left. */
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
