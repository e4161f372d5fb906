import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { entriesPrefix, STORE_FILE } from '../../../src/cache/layout.ts';
import type { Key } from '../../../src/cache/key.ts';

export interface LargeStoreOptions {
  /** A store whose entries the large one has, too. */
  readonly from: string;
  /** The keys of those entries. */
  readonly keys: readonly Key[];
  /** How many entries the large store has. */
  readonly count: number;
  readonly signal: AbortSignal;
}

/** Folders made before other things get a turn, an interruption among them. */
const BATCH = 500;

/**
 * Makes a store of very many keys in a minute. The entries of `keys` are whole; all others are a key's folder with a
 * hard link to one of those, which nobody looks up. The keys are md5 sums: the real ones are spread over all of them.
 */
export async function makeLargeStore(
  folder: string,
  { from, keys, count, signal }: LargeStoreOptions,
): Promise<void> {
  mkdirSync(join(folder, 'bdir'), { recursive: true });
  copyFileSync(join(from, STORE_FILE), join(folder, STORE_FILE));
  const entries = keys.map((key) => {
    const target = join(folder, entriesPrefix(key));
    mkdirSync(target);
    return readdirSync(join(from, entriesPrefix(key))).map((name) => {
      linkSync(join(from, entriesPrefix(key), name), join(target, name));
      return join(target, name);
    });
  });
  const files = entries.flat();
  for (let number = files.length; number < count; number++) {
    const file = files[number % files.length];
    if (file === undefined) throw new Error(`the store ${from} has no entries`);
    const target = join(folder, 'bdir', createHash('md5').update(`filler ${number}`).digest('hex'));
    mkdirSync(target);
    linkSync(file, join(target, basename(file)));
    if (number % BATCH === 0) {
      await nextTurn();
      signal.throwIfAborted();
    }
  }
}
