import { LRUCache } from 'lru-cache';
import { hash } from 'node:crypto';
import { CacheError } from '../cache/errors.ts';
import type { Clock } from './clock.ts';

/** Slows down password guessing, per network. */
export interface Throttle {
  /**
   * Runs the check of a password; its result undefined means wrong. After some wrong passwords from a network, further ones
   * are answered later and later, each occupying one of the network's few places. A right password is answered at once,
   * and clears only failures with the same name, so that one account doesn't help to guess another.
   * @throws CacheError `too-many`, before the check runs, when the network has no place left
   */
  attempt<Result>(
    network: string,
    name: string,
    check: () => Promise<Result | undefined>,
  ): Promise<Result | undefined>;
}

/** Wrong passwords without a delay: users mistype. */
const FREE_FAILURES = 5;
const FIRST_DELAY_MS = 250;
/** A quarter of the time that nodes wait for an answer (protocol.md). */
const LONGEST_DELAY_MS = 16_000;
/** Failures to remember per network; the delay has its maximum before. */
const FAILURES_LIMIT = 32;
const FORGET_AFTER_MS = 15 * 60_000;
const NETWORKS_LIMIT = 10_000;
/** Concurrent checks of different passwords per network: many nodes may share one address. */
const PLACES = 32;
/** The same for a slowed network: at most 8 guesses in 16 s. */
const SLOWED_PLACES = 8;
/** Delayed answers of all networks: each is a timer and an open connection. */
const HELD_LIMIT = 512;

interface Failures {
  /** Hashes of the last names that failed: a stranger chooses their length. */
  names: string[];
  /** Refuses all attempts until this time of the clock, if there are too many timers. */
  lockedUntil: number;
}

export function createThrottle(clock: Clock): Throttle {
  const failures = new LRUCache<string, Failures>({
    max: NETWORKS_LIMIT,
    ttl: FORGET_AFTER_MS,
    ttlResolution: 0,
    perf: clock,
  });
  const taken = new Map<string, number>();
  let held = 0;

  const takePlace = (network: string): void => {
    const record = failures.get(network);
    const count = taken.get(network) ?? 0;
    const isSlowed = record !== undefined && record.names.length >= FREE_FAILURES;
    const isLocked = record !== undefined && clock.now() < record.lockedUntil;
    if (isLocked || count >= (isSlowed ? SLOWED_PLACES : PLACES)) {
      throw new CacheError(
        'too-many',
        isSlowed
          ? `too many wrong passwords came from ${network}; try again later`
          : `too many passwords from ${network} are being checked; try again later`,
      );
    }
    taken.set(network, count + 1);
  };

  const leavePlace = (network: string): void => {
    const count = (taken.get(network) ?? 1) - 1;
    if (count === 0) taken.delete(network);
    else taken.set(network, count);
  };

  const forgive = (network: string, name: string): void => {
    const record = failures.get(network);
    if (record === undefined) return;
    record.names = record.names.filter((failed) => failed !== shorten(name));
    if (record.names.length === 0) failures.delete(network);
  };

  const punish = async (network: string, name: string): Promise<void> => {
    const record = failures.get(network) ?? { names: [], lockedUntil: 0 };
    record.names = [...record.names, shorten(name)].slice(-FAILURES_LIMIT);
    failures.set(network, record);
    const ms = delayAfter(record.names.length);
    if (ms === 0) return;
    if (held >= HELD_LIMIT) {
      record.lockedUntil = clock.now() + ms;
      return;
    }
    held++;
    try {
      await clock.delay(ms);
    } finally {
      held--;
    }
  };

  return {
    async attempt(network, name, check) {
      takePlace(network);
      try {
        const result = await check();
        if (result === undefined) await punish(network, name);
        else forgive(network, name);
        return result;
      } finally {
        leavePlace(network);
      }
    },
  };
}

function delayAfter(count: number): number {
  if (count <= FREE_FAILURES) return 0;
  return Math.min(FIRST_DELAY_MS * 2 ** (count - FREE_FAILURES - 1), LONGEST_DELAY_MS);
}

function shorten(name: string): string {
  return hash('sha256', name, 'base64').slice(0, 12);
}
