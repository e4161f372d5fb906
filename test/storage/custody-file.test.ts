import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFile,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { CustodyLog } from '../../src/cache/custody.ts';
import { checkCustody } from '../../src/cache/custody-chain.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { CUSTODY_FILE, CUSTODY_LOCK } from '../../src/cache/layout.ts';
import { createCustodyFile } from '../../src/storage/custody-file.ts';
import { openFilesystemStorage } from '../../src/storage/filesystem.ts';
import { ownerTag } from '../../src/storage/temporary-name.ts';
import { collect } from '../fixtures/collect.ts';
import { check, findingsOf, judgeCustody } from '../fixtures/custody.ts';
import { cacheErrorOf } from '../fixtures/expected-error.ts';
import { mountReadOnly, mountTmpfs, unmount } from '../fixtures/mounts.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const ALICE = { user: 'alice', host: 'master' };
const BLOB = digestOf('blob');

let root: string;
let path: string;

beforeEach(async () => {
  root = join(await temporaryFolder(), 'store');
  path = join(root, CUSTODY_FILE);
  await openFilesystemStorage(root, { write: true });
});

/** Patience, in milliseconds, whose end no other writer should see, however slow the disk is. */
const LONG = 20_000;
/** For tests that wait for its end. */
const SHORT = 300;

const logOf = (folder: string = root, patience = LONG): CustodyLog =>
  createCustodyFile(folder, { who: ALICE, patience });

const recordAll = (log: CustodyLog, sources: readonly string[]): Promise<unknown> =>
  Promise.all(sources.map((source) => log.record({ action: 'import', source })));

const numbers = (count: number, prefix = ''): readonly string[] =>
  Array.from({ length: count }, (_item, number) => `${prefix}${number}`);

async function sourcesIn(log: CustodyLog): Promise<readonly (string | undefined)[]> {
  const lines = await collect(checkCustody(log.lines()));
  expect(findingsOf(lines)).toEqual([]);
  return lines.map(({ record }) => record?.source);
}

async function expectNothingLeft(): Promise<void> {
  expect(await readdir(join(root, 'tmp'))).toEqual([]);
  expect(await readdir(root)).not.toContain(CUSTODY_LOCK);
}

describe('custody.log', () => {
  it('is not there before something is recorded, and is not made by reading', async () => {
    expect(await collect(logOf().lines())).toEqual([]);
    expect((await readdir(root)).sort()).toEqual(['store.json', 'tmp']);
  });

  it('has a line for each event: who, what, when', async () => {
    const now = new Date('2026-11-20T21:34:00Z');
    const log = createCustodyFile(root, { who: ALICE, now: () => now });
    await log.record({ action: 'remove', sha512: BLOB, reason: 'named' });
    await log.record({ action: 'upload', sha512: BLOB }, { user: 'ci', remote: '192.168.32.9' });
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    const at = now.toISOString();
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { previous: digestOf(''), at, who: ALICE, action: 'remove', sha512: BLOB, reason: 'named' },
      {
        ...{ previous: digestOf(lines[0] ?? ''), at, action: 'upload', sha512: BLOB },
        who: { user: 'ci', remote: '192.168.32.9', host: 'master' },
      },
    ]);
    expect(await judgeCustody(path)).toEqual({ whole: 2, cut: 0 });
    await expectNothingLeft();
  });

  it('goes on where another process left off', async () => {
    for (const source of numbers(5)) await logOf().record({ action: 'import', source });
    expect(await sourcesIn(logOf())).toEqual(numbers(5));
  });

  it('keeps the order of those who record many at once', async () => {
    const log = logOf();
    await recordAll(log, numbers(500));
    expect(await sourcesIn(log)).toEqual(numbers(500));
    expect(await judgeCustody(path)).toEqual({ whole: 500, cut: 0 });
  });

  it('has every line of several that are open at once', async () => {
    const logs = numbers(8).map(() => logOf());
    await Promise.all(logs.map((log, index) => recordAll(log, numbers(40, `${index} `))));
    const expected = logs.flatMap((_log, index) => numbers(40, `${index} `));
    expect([...(await sourcesIn(logOf()))].sort()).toEqual([...expected].sort());
    await expectNothingLeft();
  });

  it('is read and continued when its lines are longer than what is read at once', async () => {
    const long = '\0'.repeat(5000);
    const who = { user: long, sudoUser: long, host: long };
    const log = createCustodyFile(root, { who });
    const event = { action: 'repair', source: long, target: long, reason: long, softwareUrl: long } as const;
    for (let round = 0; round < 3; round++) await log.record(event);
    expect((await stat(path)).size).toBeGreaterThan(3 * 64 * 1024);
    expect(await judgeCustody(path)).toEqual({ whole: 3, cut: 0 });
    expect(findingsOf(await collect(checkCustody(log.lines())))).toEqual([]);
  });

  it('is made in a store that was put together by copying', async () => {
    await rm(join(root, 'tmp'), { recursive: true });
    await logOf().record({ action: 'import', source: 'first' });
    expect(await sourcesIn(logOf())).toEqual(['first']);
  });

  it('may be moved away: a new one is begun', async () => {
    const log = logOf();
    await log.record({ action: 'import', source: 'old' });
    await rm(path);
    await log.record({ action: 'import', source: 'new' });
    expect(await sourcesIn(log)).toEqual(['new']);
  });
});

describe('a log whose writer was interrupted', () => {
  it('is continued wherever it ends, and what was there stays as it was', async () => {
    await recordAll(logOf(), ['first', 'second']);
    const whole = await readFile(path);
    const start = whole.indexOf('\n') + 1;
    for (let length = start; length <= whole.length; length += 29) {
      await writeFile(path, whole.subarray(0, length));
      await logOf().record({ action: 'import', source: 'third' });
      await logOf().record({ action: 'import', source: 'fourth' });
      const content = await readFile(path);
      expect(content.subarray(0, length).equals(whole.subarray(0, length))).toBe(true);
      const isTorn = length > start;
      expect(await check(content), `${length} bytes`).toEqual(isTorn ? ['2 cut-off'] : []);
      expect(await judgeCustody(path)).toEqual({ whole: 3, cut: isTorn ? 1 : 0 });
    }
  });

  it('is continued when only the last newline is missing: that line counts', async () => {
    await recordAll(logOf(), ['first', 'second']);
    await truncate(path, (await stat(path)).size - 1);
    await logOf().record({ action: 'import', source: 'third' });
    expect(await sourcesIn(logOf())).toEqual(['first', 'second', 'third']);
  });

  it('is continued when whoever went on was interrupted after the newline, or later', async () => {
    await recordAll(logOf(), ['first', 'second']);
    const whole = await readFile(path);
    await truncate(path, whole.length - 100);
    const torn = await readFile(path);
    await logOf().record({ action: 'import', source: 'third' });
    const continued = await readFile(path);
    for (const length of [torn.length + 1, torn.length + 2, torn.length + 160, torn.length + 250]) {
      await writeFile(path, continued.subarray(0, length));
      await logOf().record({ action: 'import', source: 'fourth' });
      expect(await check(await readFile(path)), `${length} bytes`).toEqual(
        length === torn.length + 1 ? ['2 cut-off'] : ['2 cut-off', '3 cut-off'],
      );
    }
  });

  it('is continued after the zeros that a loss of power leaves', async () => {
    await logOf().record({ action: 'import', source: 'first' });
    await appendFile(path, Buffer.alloc(5000));
    await logOf().record({ action: 'import', source: 'second' });
    expect(await check(await readFile(path))).toEqual(['2 cut-off']);
  });

  it('shows what somebody else appended, and goes on', async () => {
    await logOf().record({ action: 'import', source: 'first' });
    await appendFile(path, 'hello');
    await logOf().record({ action: 'import', source: 'second' });
    expect(await check(await readFile(path))).toEqual(['2 broken']);
  });
});

describe('the lock', () => {
  /** Somebody who writes, and got as far as this. */
  async function holdAs(owner: string): Promise<void> {
    await mkdir(join(root, CUSTODY_LOCK, owner), { recursive: true });
  }
  const lockOwners = (): Promise<readonly string[]> => readdir(join(root, CUSTODY_LOCK));
  /** This process, but for the time at which it started. */
  const gone = (): string =>
    `${ownerTag().replace(/(\d+)$/, (start) => String(Number(start) + 1))}.0123456789`;

  it('of an owner who is gone is taken at once, by one of many', async () => {
    await holdAs(gone());
    await Promise.all(numbers(20).map((source) => logOf().record({ action: 'import', source })));
    expect([...(await sourcesIn(logOf()))].sort()).toEqual([...numbers(20)].sort());
    await expectNothingLeft();
  });

  it('of a process that was killed is free at once', async () => {
    const script = `
      import { takeFolderLock } from ${JSON.stringify(new URL('../../src/storage/folder-lock.ts', import.meta.url).href)};
      await takeFolderLock(${JSON.stringify(root)}, ${JSON.stringify(CUSTODY_LOCK)}, 1000);
      process.stdout.write('taken');
      setInterval(() => undefined, 1000);
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    expect(String((await once(child.stdout, 'data'))[0])).toBe('taken');
    const refused = await cacheErrorOf(logOf(root, SHORT).record({ action: 'import' }));
    expect(refused.message).toContain("doesn't go on");
    child.kill('SIGKILL');
    await once(child, 'exit');
    // With the patience of days it would be seen that it isn't.
    const log = createCustodyFile(root, { who: ALICE, patience: 1e9 });
    await log.record({ action: 'import', source: 'mine' });
    expect(await sourcesIn(log)).toEqual(['mine']);
    await expectNothingLeft();
  });

  it('that nobody holds any more may be there, empty', async () => {
    await mkdir(join(root, CUSTODY_LOCK));
    await logOf().record({ action: 'import' });
    await expectNothingLeft();
  });

  it.each([
    ['on another machine', (owner: string) => owner.replace(/^\w+/, '00000000')],
    ['in another container', (owner: string) => owner.replace(/^(\w+-\w+)-\w+/, '$1-00000000')],
    ['unknown', () => 'what.ever'],
  ])('of an owner who is %s is taken when nothing goes on', async (_where, elsewhere) => {
    const owner = elsewhere(`${ownerTag()}.0123456789`);
    await holdAs(owner);
    const recorded = logOf(root, 2000).record({ action: 'import', source: 'mine' });
    // It isn't taken at once: whoever frees it in time is not disturbed.
    await expect.poll(() => readdir(join(root, 'tmp'))).toHaveLength(1);
    expect(await lockOwners()).toEqual([owner]);
    await recorded;
    expect(await sourcesIn(logOf())).toEqual(['mine']);
    await expectNothingLeft();
  });

  it('of an owner who lives is never taken: that is an error, and nothing is written', async () => {
    const owner = `${ownerTag()}.0123456789`;
    await holdAs(owner);
    const error = await cacheErrorOf(logOf(root, SHORT).record({ action: 'import' }));
    expect(error.code).toBe('storage');
    expect(error.message).toContain(join(root, CUSTODY_LOCK));
    expect(error.message).toContain("doesn't go on");
    expect(await lockOwners()).toEqual([owner]);
    expect((await readdir(root)).sort()).toEqual([CUSTODY_LOCK, 'store.json', 'tmp']);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is waited for as long as others go on', async () => {
    const other = logOf();
    const over = new AbortController();
    const busy = (async () => {
      while (!over.signal.aborted) await other.record({ action: 'import', source: 'other' });
    })();
    try {
      for (const source of numbers(5)) await logOf().record({ action: 'import', source });
    } finally {
      over.abort();
      await busy;
    }
    expect((await sourcesIn(other)).filter((source) => source !== 'other')).toEqual(numbers(5));
  });

  it('is waited for longer than its patience while one owner follows the other', async () => {
    const patience = 2000;
    const owner = (number: number): string => `${ownerTag()}.000000000${number}`;
    await holdAs(owner(0));
    const recorded = logOf(root, patience).record({ action: 'import', source: 'mine' });
    // An error would come before the end.
    recorded.catch(() => undefined);
    for (let number = 1; number <= 5; number++) {
      await sleep(patience / 4);
      // The next one first: so that the lock is never free.
      await holdAs(owner(number));
      await rm(join(root, CUSTODY_LOCK, owner(number - 1)), { recursive: true });
    }
    await rm(join(root, CUSTODY_LOCK, owner(5)), { recursive: true });
    await recorded;
    expect(await sourcesIn(logOf())).toEqual(['mine']);
    await expectNothingLeft();
  });

  it('that somebody was about to take when they were killed goes when the store is opened', async () => {
    const name = gone();
    await mkdir(join(root, 'tmp', name, name), { recursive: true });
    const alive = `${ownerTag()}.0123456789`;
    await mkdir(join(root, 'tmp', alive, alive), { recursive: true });
    await openFilesystemStorage(root, { write: true });
    expect(await readdir(join(root, 'tmp'))).toEqual([alive]);
  });

  it('of an owner who cannot be removed is an error, too', async () => {
    const owner = gone();
    await holdAs(join(owner, 'more'));
    const error = await cacheErrorOf(logOf(root, SHORT).record({ action: 'import' }));
    expect(error.message).toContain("doesn't go on");
    expect(await lockOwners()).toEqual([owner]);
  });

  it('is an error when a file has its name', async () => {
    await writeFile(join(root, CUSTODY_LOCK), '');
    const error = await cacheErrorOf(logOf().record({ action: 'import' }));
    expect(error.message).toBe(`${join(root, CUSTODY_LOCK)} is not a folder; move it away`);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });
});

describe('what can go wrong with the disk', () => {
  it('a store that is only read can be read, and recording is an error', async (context) => {
    await logOf().record({ action: 'import', source: 'before' });
    const at = join(root, '../read-only');
    await mountReadOnly(context, root, at);
    expect(await sourcesIn(logOf(at))).toEqual(['before']);
    const error = await cacheErrorOf(logOf(at).record({ action: 'import' }));
    expect(error.code).toBe('storage');
    expect(error.message).toBe(
      `can't write ${join(at, CUSTODY_FILE)}: the file system is mounted read-only (EROFS)`,
    );
    expect(await sourcesIn(logOf())).toEqual(['before']);
  });

  it("another user's log can't be written, and the error says so", async () => {
    await logOf().record({ action: 'import', source: 'before' });
    const error = await asOrdinaryUser(() => cacheErrorOf(logOf().record({ action: 'import' })));
    expect(error.message).toBe(`can't write ${path}: permission denied (EACCES)`);
    expect(await sourcesIn(logOf())).toEqual(['before']);
    await expectNothingLeft();
  });

  it('a full disk is an error; what was begun is cut off, and it goes on when there is room', async (context) => {
    const small = join(root, '../small');
    await mountTmpfs(context, small, 256 * 1024);
    await openFilesystemStorage(small, { write: true });
    const log = logOf(small);
    const file = join(small, CUSTODY_FILE);
    await log.record({ action: 'import', source: 'first' });
    // All but a few pages, which a batch of lines does not fit into.
    await writeFile(join(small, 'filler'), Buffer.alloc(256 * 1024 - 7 * 4096)).catch(() => undefined);
    const outcomes = await Promise.allSettled(
      numbers(300).map((number) => log.record({ action: 'import', source: number.repeat(100) })),
    );
    const errors = outcomes.flatMap((outcome): unknown[] =>
      outcome.status === 'rejected' ? [outcome.reason] : [],
    );
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toMatchObject({ code: 'no-space' });
    await rm(join(small, 'filler'));
    await log.record({ action: 'import', source: 'last' });
    const lines = await collect(checkCustody(log.lines()));
    for (const { finding } of lines) expect(finding?.kind).not.toBe('broken');
    expect(lines.at(-1)?.record?.source).toBe('last');
    await judgeCustody(file);
  });

  it('a disk that was unplugged is an error, and nothing is made where it was', async (context) => {
    const disk = join(root, '../disk');
    await mountTmpfs(context, disk, 1024 * 1024);
    await openFilesystemStorage(disk, { write: true });
    const log = logOf(disk);
    await log.record({ action: 'import' });
    await unmount(disk);
    expect((await cacheErrorOf(log.record({ action: 'import' }))).code).toBe('storage');
    expect((await cacheErrorOf(collect(log.lines()))).code).toBe('storage');
    expect(await readdir(disk)).toEqual([]);
  });

  it('what has no end is not read into memory', async () => {
    await writeFile(path, '');
    await truncate(path, 64 * 1024 * 1024);
    for (const error of [
      await cacheErrorOf(logOf().record({ action: 'import' })),
      await cacheErrorOf(collect(logOf().lines())),
    ]) {
      expect(error.code).toBe('storage');
      expect(error.message).toContain(`${path} is damaged`);
    }
    expect((await stat(path)).size).toBe(64 * 1024 * 1024);
  });

  it.each([
    ['a link', () => symlink('../elsewhere', path)],
    ['a folder', () => mkdir(path)],
  ])('%s in its place is refused', async (_what, put) => {
    await writeFile(join(root, '../elsewhere'), 'precious');
    await put();
    expect((await cacheErrorOf(logOf().record({ action: 'import' }))).code).toBe('storage');
    expect((await cacheErrorOf(collect(logOf().lines()))).code).toBe('storage');
    expect(await readFile(join(root, '../elsewhere'), 'utf8')).toBe('precious');
  });
});
