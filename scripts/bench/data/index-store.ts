import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseEntry } from '../../../src/cache/entry.ts';
import { keyOfSoftwareUrl, type Key } from '../../../src/cache/key.ts';
import { entriesPrefix, STORE_FILE, STORE_FORMAT } from '../../../src/cache/layout.ts';

export interface IndexStore {
  /** Some of its keys. */
  readonly keys: readonly Key[];
  readonly remove: () => Promise<void>;
}

const SYSTEMS = [
  ['debian', '12', 'bookworm'],
  ['ubuntu', '22.04', 'jammy'],
];
/** Folders made before other things get a turn. */
const BATCH = 500;
const KEYS = 1000;

/**
 * A store of releases, each with a key, a URL and a blob of its own. The blobs are missing, and the signatures are of the usual
 * size but not valid: to verify one takes the same time, to make one takes longer than all the rest.
 */
export async function makeIndexStore(
  folder: string,
  count: number,
  signal: AbortSignal,
): Promise<IndexStore> {
  mkdirSync(join(folder, 'bdir'), { recursive: true });
  writeFileSync(join(folder, STORE_FILE), JSON.stringify({ format: STORE_FORMAT }));
  const signature = randomBytes(256).toString('base64');
  const folders: string[] = [];
  const keys: Key[] = [];
  const remove = async (): Promise<void> => {
    for (const [number, path] of folders.entries()) {
      rmSync(path, { recursive: true });
      if (number % BATCH === 0) await nextTurn();
    }
    rmSync(folder, { recursive: true });
  };
  for (let number = 0; number < count; number++) {
    const url = `https://lab.example.com/group/slapos/raw/1.0.${number}/software/component-${number % 500}/software.cfg`;
    const key = keyOfSoftwareUrl(url);
    const members = {
      ...{ sha512: createHash('sha512').update(url).digest('hex'), software_url: url },
      ...{ software_root: '/opt/slapgrid', multiarch: 'x86_64-linux-gnu', os: SYSTEMS[number % 2] },
    };
    const { pair, digest } = parseEntry([JSON.stringify(members), signature]);
    const path = join(folder, entriesPrefix(key));
    mkdirSync(path);
    writeFileSync(
      join(path, digest),
      JSON.stringify({ received: new Date(1e12 + number * 1000), entry: pair }),
    );
    folders.push(path);
    if (number % Math.ceil(count / KEYS) === 0) keys.push(key);
    if (number % BATCH === 0) {
      await nextTurn();
      signal.throwIfAborted();
    }
  }
  return { keys, remove };
}
