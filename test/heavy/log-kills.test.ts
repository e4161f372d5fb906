import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createStoreLog } from '../../src/cache/store-log.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { createRandom } from './random.ts';

const RUNS = process.env['SHACACHE_HEAVY'] ? 100 : 2;
const SEED = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 1_000_000);
const WRITERS = 3;
const WHO = { user: 'root', host: 'master' };

/** Records without end or `count` times, 30 at a time, and prints each record that is said to be on the disk. */
const WRITER = `
const [logModule, storageModule, root, name, count] = process.argv.slice(1);
const { createStoreLog } = await import(logModule);
const { openStorage } = await import(storageModule);
const storage = await openStorage(root, { write: true });
const log = createStoreLog(storage, { who: { user: name, host: 'master' } });
let next = 0;
const client = async () => {
  while (next < Number(count)) {
    const source = name + '-' + next++;
    await log.record({ action: 'import', source, reason: 'x'.repeat(1500) });
    process.stdout.write(source + '\\n');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
await Promise.all(Array.from({ length: 30 }, client));
`;

interface Writer {
  /** What it was told is recorded. */
  readonly recorded: readonly string[];
  /** Resolves when so many more are recorded. */
  untilMore(count: number): Promise<void>;
  /** Resolves when it's gone and all that it told is read. */
  readonly end: Promise<number | null>;
  kill(): void;
}

function startWriter(root: string, name: string, count: number): Writer {
  const modules = ['../../src/cache/store-log.ts', '../fixtures/open-storage.ts'].map(
    (path) => new URL(path, import.meta.url).href,
  );
  const args = [
    '--import',
    'tsx',
    '--input-type=module',
    '-e',
    WRITER,
    ...modules,
    root,
    name,
    String(count),
  ];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const recorded: string[] = [];
  let begun = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${begun}${text}`.split('\n');
    begun = lines.pop() ?? '';
    recorded.push(...lines);
  });
  const end = once(child, 'close').then(([code]) => code as number | null);
  const kill = (): void => void child.kill('SIGKILL');
  onTestFinished(async () => {
    kill();
    await end;
  });
  return {
    ...{ recorded, end },
    kill,
    async untilMore(more) {
      const goal = recorded.length + more;
      while (recorded.length < goal) {
        const next = once(child.stdout, 'data').then(() => 'more');
        if ((await Promise.race([next, end.then(() => 'end')])) === 'end')
          throw new Error(`the writer ${name} ended`);
      }
    },
  };
}

async function makeStore(): Promise<string> {
  const root = join(await temporaryFolder(), 'store');
  await openStorage(root, { write: true });
  return root;
}

/** The sources of all records, each once and whole, as Python says. */
async function sourcesIn(root: string): Promise<readonly unknown[]> {
  const sources = (await recordsIn(root)).map(({ source }) => source);
  expect(new Set(sources).size).toBe(sources.length);
  return sources;
}

function expectAllIn(sources: readonly unknown[], expected: readonly string[]): void {
  const present = new Set(sources);
  expect(expected.filter((source) => !present.has(source))).toEqual([]);
}

it('has each record of many processes that write at once', { timeout: 180_000 }, async () => {
  const root = await makeStore();
  const writers = Array.from({ length: 6 }, (_item, number) => startWriter(root, `w${number}`, 100));
  expect(await Promise.all(writers.map(({ end }) => end))).toEqual([0, 0, 0, 0, 0, 0]);
  const sources = await sourcesIn(root);
  expect([...sources].sort()).toEqual(writers.flatMap(({ recorded }) => recorded).sort());
  expect(sources).toHaveLength(600);
  expect(await readdir(join(root, 'tmp'))).toEqual([]);
});

it(
  `${RUNS} kills of processes that write at once leave whole records, and all that was recorded`,
  { timeout: 30_000 + RUNS * 15_000 },
  async () => {
    process.stderr.write(`log-kills: SHACACHE_SEED=${SEED}\n`);
    const random = createRandom(SEED);
    const root = await makeStore();
    const all: Writer[] = [];
    const start = (): Writer => {
      const writer = startWriter(root, `w${all.length}`, Infinity);
      all.push(writer);
      return writer;
    };
    let alive = Array.from({ length: WRITERS }, start);
    for (let run = 0; run < RUNS; run++) {
      for (const writer of alive) await writer.untilMore(1);
      const [victim, ...others] = alive;
      await victim?.untilMore(1 + Math.floor(random() * 20));
      victim?.kill();
      await victim?.end;
      // Those who live go on, whatever it was just doing.
      for (const writer of others) await writer.untilMore(35);
      alive = [...others, start()];
    }
    for (const writer of alive) writer.kill();
    await Promise.all(alive.map(({ end }) => end));
    const log = createStoreLog(await openStorage(root, { write: true }), { who: WHO });
    await log.record({ action: 'import', source: 'the end' });

    const sources = await sourcesIn(root);
    expectAllIn(
      sources,
      all.flatMap(({ recorded }) => recorded),
    );
    expect(sources.at(-1)).toBe('the end');
    process.stderr.write(`log-kills: ${sources.length} records\n`);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  },
);
