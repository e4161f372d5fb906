import type { Store } from '../../cache/store.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { CacheError, throwProgrammingError, isDamage } from '../../cache/errors.ts';
import { SCRUB_FILE } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { readSmallObject, writeSmallObject } from '../../cache/small-object.ts';
import type { Finding } from './finding.ts';
import { createPace } from './pace.ts';
import type { VerifyCounts, VerifyOptions } from './verification.ts';
import { verifyStore } from './verify-store.ts';

/** A completed check of the whole store. */
export interface ScrubResult {
  /** ISO 8601, UTC. */
  readonly finished: string;
  /** Number of findings. */
  readonly findings: number;
}

export interface ScrubOptions extends Pick<VerifyOptions, 'trusted' | 'allowUnsigned'> {
  /** Opens the store anew for each check. */
  readonly open: () => Promise<Store>;
  /** Milliseconds from the end of one check to the start of the next. */
  readonly interval: number;
  /** Bytes per second; the default leaves the disk time for other work. */
  readonly rate?: number;
  readonly onBegin: () => void;
  readonly onFinding: (finding: Finding) => void;
  readonly onEnd: (result: ScrubResult, looked: VerifyCounts) => void;
  /** Receives the error of a check that could not be completed or recorded; the next one may succeed. */
  readonly onFailure: (error: unknown) => void;
}

/** Repeated checks until `stop`. */
export interface Scrub {
  start(): void;
  /** The last check, also by an earlier process. */
  last(): ScrubResult | undefined;
  /** Resolves when all reading has ended. */
  stop(): Promise<void>;
}

/** Half the throughput of a slow disk. */
const RATE = 32 * 1024 * 1024;
/** Milliseconds between looks at the clock: clocks are set, and timers are limited to 24 days. */
const LOOK_MS = 60_000;
const SIZE_LIMIT = 4096;

const scrubResult = z.object({ finished: z.iso.datetime(), findings: z.number() });

/**
 * Reads the whole store repeatedly and writes only a note of the last check. Several servers on one store share that
 * note.
 */
export function createScrub(options: ScrubOptions): Scrub {
  const { open, interval, onFailure } = options;
  const giveUp = new AbortController();
  const { signal } = giveUp;
  let last: ScrubResult | undefined;

  const isDue = (): boolean => {
    const age = last === undefined ? Infinity : Date.now() - Date.parse(last.finished);
    // A clock that was set back must not postpone the check for years.
    return age >= interval || age < 0;
  };

  const go = async (): Promise<void> => {
    for (;;) {
      const store = await open();
      last = (await readResult(store.storage)) ?? last;
      if (isDue()) last = await scrubOnce(store, options, signal);
      await sleep(Math.min(LOOK_MS, interval), undefined, { signal });
    }
  };

  const run = async (): Promise<void> => {
    for (;;) {
      try {
        await go();
      } catch (error) {
        if (signal.aborted) return;
        onFailure(error);
        await sleep(Math.min(LOOK_MS, interval), undefined, { signal }).catch(() => undefined);
      }
    }
  };

  let running: Promise<void> | undefined;
  return {
    start: () => {
      running ??= run();
    },
    last: () => last,
    stop: async () => {
      giveUp.abort();
      await running;
    },
  };
}

async function scrubOnce(
  store: Store,
  { trusted, allowUnsigned, rate = RATE, onBegin, onFinding, onEnd, onFailure }: ScrubOptions,
  signal: AbortSignal,
): Promise<ScrubResult> {
  onBegin();
  const verifying = verifyStore(store, {
    ...{ trusted, allowUnsigned, deep: true },
    pace: createPace({ rate, signal }),
  });
  let findings = 0;
  for (;;) {
    const step = await verifying.next();
    signal.throwIfAborted();
    if (!step.done) {
      findings++;
      onFinding(step.value);
      continue;
    }
    const result = { finished: new Date().toISOString(), findings };
    onEnd(result, step.value);
    // A read-only store is checked, too.
    await writeSmallObject(store.records, SCRUB_FILE, JSON.stringify(result)).catch(onFailure);
    return result;
  }
}

/** A damaged note counts as missing. */
async function readResult(storage: ObjectStorage): Promise<ScrubResult | undefined> {
  try {
    const text = await readSmallObject(storage, SCRUB_FILE, SIZE_LIMIT);
    return text === undefined ? undefined : scrubResult.parse(JSON.parse(text));
  } catch (error) {
    throwProgrammingError(error);
    if (error instanceof CacheError && !isDamage(error)) throw error;
    return undefined;
  }
}
