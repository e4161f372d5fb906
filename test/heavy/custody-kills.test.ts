import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { checkCustody } from '../../src/cache/custody-chain.ts';
import { CUSTODY_FILE, CUSTODY_LOCK } from '../../src/cache/layout.ts';
import { createCustodyFile } from '../../src/storage/custody-file.ts';
import { openFilesystemStorage } from '../../src/storage/filesystem.ts';
import { collect } from '../fixtures/collect.ts';
import { judgeCustody } from '../fixtures/custody.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { createRandom } from './random.ts';

const RUNS = process.env['SHACACHE_HEAVY'] ? 100 : 6;
const SEED = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 1_000_000);
const WRITERS = 3;
const WHO = { user: 'root', host: 'master' };

/** Records without end or `count` times, 30 at a time, and tells of each line that is said to be on the disk. */
const WRITER = `
const [module, root, name, count] = process.argv.slice(1);
const { createCustodyFile } = await import(module);
const log = createCustodyFile(root, { who: { user: name, host: 'master' } });
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
  readonly pid: number | undefined;
  /** What it was told is recorded. */
  readonly recorded: readonly string[];
  /** Resolves when so many more are recorded. */
  untilMore(count: number): Promise<void>;
  /** Resolves when it's gone and all that it told is read. */
  readonly end: Promise<number | null>;
  kill(): void;
}

function startWriter(root: string, name: string, count: number): Writer {
  const module = new URL('../../src/storage/custody-file.ts', import.meta.url).href;
  const args = ['--import', 'tsx', '--input-type=module', '-e', WRITER, module, root, name, String(count)];
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
    ...{ pid: child.pid, recorded, end },
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
  await openFilesystemStorage(root, { write: true });
  return root;
}

interface LogContent {
  readonly sources: readonly string[];
  readonly cut: number;
}

/** What is in the log: no line twice, none that doesn't continue the one before, as Python says, too. */
async function readLog(root: string): Promise<LogContent> {
  const lines = await collect(checkCustody(createCustodyFile(root, { who: WHO }).lines()));
  expect(lines.filter(({ finding }) => finding?.kind === 'broken')).toEqual([]);
  const sources = lines.flatMap(({ record }) => record?.source ?? []);
  expect(new Set(sources).size).toBe(sources.length);
  const { cut } = await judgeCustody(join(root, CUSTODY_FILE));
  return { sources, cut };
}

function expectAllIn(sources: readonly string[], expected: readonly string[]): void {
  const present = new Set(sources);
  expect(expected.filter((source) => !present.has(source))).toEqual([]);
}

it('many processes that write at once make one chain, and nobody waits for ever', async () => {
  const root = await makeStore();
  const writers = Array.from({ length: 6 }, (_item, number) => startWriter(root, `w${number}`, 100));
  expect(await Promise.all(writers.map(({ end }) => end))).toEqual([0, 0, 0, 0, 0, 0]);
  const { sources, cut } = await readLog(root);
  expect([...sources].sort()).toEqual(writers.flatMap(({ recorded }) => recorded).sort());
  expect(sources).toHaveLength(600);
  expect(cut).toBe(0);
  expect(await readdir(join(root, 'tmp'))).toEqual([]);
  expect(await readdir(root)).not.toContain(CUSTODY_LOCK);
});

it(
  `${RUNS} kills of processes that write at once leave one chain with all that was recorded`,
  { timeout: 30_000 + RUNS * 15_000 },
  async () => {
    process.stderr.write(`custody-kills: SHACACHE_SEED=${SEED}\n`);
    const random = createRandom(SEED);
    const root = await makeStore();
    const log = createCustodyFile(root, { who: WHO });
    const all: Writer[] = [];
    let name = 0;
    const start = (): Writer => {
      const writer = startWriter(root, `w${name++}`, Infinity);
      all.push(writer);
      return writer;
    };
    let alive = Array.from({ length: WRITERS }, start);
    let held = 0;
    for (let run = 0; run < RUNS; run++) {
      for (const writer of alive) await writer.untilMore(1);
      const [victim, ...others] = alive;
      await victim?.untilMore(1 + Math.floor(random() * 20));
      victim?.kill();
      await victim?.end;
      const owners = await readdir(join(root, CUSTODY_LOCK)).catch(() => []);
      if (owners.some((owner) => owner.includes(`-${victim?.pid ?? ''}-`))) held++;
      // Those who live go on, whatever it was just doing.
      for (const writer of others) await writer.untilMore(35);
      await log.record({ action: 'import', source: `run ${run}` });
      alive = [...others, start()];
    }
    // All at once: nobody is left who was waiting.
    for (const writer of alive) writer.kill();
    await Promise.all(alive.map(({ end }) => end));
    await log.record({ action: 'import', source: 'the end' });

    const { sources, cut } = await readLog(root);
    expectAllIn(
      sources,
      all.flatMap(({ recorded }) => recorded),
    );
    expect(sources.at(-1)).toBe('the end');
    const size = (await readFile(join(root, CUSTODY_FILE))).length;
    process.stderr.write(
      `custody-kills: ${sources.length} lines (${size} bytes), ${cut} cut off; ${held} of ${RUNS} had the lock\n`,
    );
    // What they left goes when the store is opened.
    await openFilesystemStorage(root, { write: true });
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  },
);
