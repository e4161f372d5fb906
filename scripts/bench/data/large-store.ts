import { createHash } from 'node:crypto';
import { copyFileSync, linkSync, mkdirSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { rm } from 'node:fs/promises';
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

export interface LargeStore {
  /**
   * Removes it in the order in which it was made, which is that of the disk: `rm -r` goes by hashes of names, and takes
   * ten minutes.
   */
  readonly remove: () => Promise<void>;
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
): Promise<LargeStore> {
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
  const placeOf = (number: number): { target: string; file: string } => {
    const file = files[number % files.length];
    if (file === undefined) throw new Error(`the store ${from} has no entries`);
    return { target: join(folder, 'bdir', createHash('md5').update(`filler ${number}`).digest('hex')), file };
  };

  let made = files.length;
  const remove = async (): Promise<void> => {
    for (let number = files.length; number < made; number++) {
      const { target, file } = placeOf(number);
      unlinkSync(join(target, basename(file)));
      rmdirSync(target);
      if (number % BATCH === 0) await nextTurn();
    }
    await rm(folder, { recursive: true });
  };
  try {
    for (; made < count; made++) {
      const { target, file } = placeOf(made);
      mkdirSync(target);
      linkSync(file, join(target, basename(file)));
      if (made % BATCH === 0) {
        await nextTurn();
        signal.throwIfAborted();
      }
    }
  } catch (error) {
    await remove().catch(() => undefined);
    throw error;
  }
  return { remove };
}
