import { execFile, spawn } from 'node:child_process';
import { chmod, mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { createStoreLog } from '../../src/cache/store-log.ts';
import type { StoreLog } from '../../src/cache/store-log.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, PROGRAM, resultOf, runCache, type CommandResult } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';

let folder: string;
let store: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  store = join(folder, 'cache-store');
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);
/** What each command says first, because there is no configuration. */
const using = () => `using ./cache-store: no config.ini found in ${folder}\n`;

/** A store in which alice did this and that, long ago and just now. @returns the records as `--json` prints them */
async function makeLog(): Promise<readonly string[]> {
  const storage = await openStorage(store, { write: true });
  const logAt = (now?: string): StoreLog =>
    createStoreLog(storage, {
      who: { user: 'root', sudoUser: 'alice', host: 'master' },
      ...(now === undefined ? {} : { now: () => new Date(now) }),
    });
  const old = logAt('2001-01-02T03:04:05Z');
  const middle = logAt('2001-02-03T04:05:06Z');
  const now = logAt();
  const kvm = { key: keyOfSoftwareUrl(KVM), softwareUrl: KVM, size: 1536, sha512: digestOf('kvm') };
  await old.record({ action: 'import', ...kvm, source: '/mnt/device/software/kvm.tar.gz' });
  await middle.record(
    { action: 'upload', sha512: digestOf('blob'), size: 5 },
    { user: 'ci', remote: '::ffff:10.0.0.7' },
  );
  await middle.record({ action: 'upload', sha512: digestOf('blob') }, { user: undefined, remote: 'fd00::7' });
  await now.record({
    action: 'export',
    key: keyOfSoftwareUrl(RAPID_CDN),
    softwareUrl: RAPID_CDN,
    target: '/mnt/x',
  });
  await now.record({ action: 'remove', ...kvm, reason: 'named' });
  return (await recordsIn(store)).map((record) => JSON.stringify(record).replace('softwareUrl', 'url'));
}

describe('cache log', () => {
  it('shows when, who, what and what with, the newest last', async () => {
    await makeLog();
    const { code, stdout, stderr } = await cache('log');
    const rows = stdout.trimEnd().split('\n');
    expect(rows[0]).toMatch(/^WHEN +WHO +ACTION +SIZE +WHAT$/);
    expect(rows.slice(1, 4)).toEqual([
      `2001-01-02 03:04 UTC  alice as root@master      import  1.5 KiB    ${KVM}  from /mnt/device/software/kvm.tar.gz`,
      `2001-02-03 04:05 UTC  ci@10.0.0.7               upload  5 B        blob ${digestOf('blob').slice(0, 16)}`,
      `2001-02-03 04:05 UTC  anonymous@fd00::7         upload             blob ${digestOf('blob').slice(0, 16)}`,
    ]);
    expect(rows[4]).toContain(`export             ${RAPID_CDN}  to /mnt/x`);
    expect(rows[5]).toContain(`remove  1.5 KiB    ${KVM}  (named)`);
    expect(rows).toHaveLength(6);
    expect(stderr).toBe(`${using()}5 records\n`);
    expect(code).toBe(0);
  });

  it('prints a record a line with --json, as it was written but for the name of the URL', async () => {
    const records = await makeLog();
    const { code, stdout } = await cache('log', '--json', '-q');
    expect(stdout).toBe(records.map((record) => `${record}\n`).join(''));
    expect(code).toBe(0);
  });

  it.each<[string, readonly string[], readonly number[]]>([
    ['a date', ['--since', '2001-02-01'], [1, 2, 3, 4]],
    ['a date and a time', ['--since', '2001-02-03T04:05:07Z'], [3, 4]],
    ['days', ['--since', '1d'], [3, 4]],
    ['hours', ['--since', '2h'], [3, 4]],
    ['a URL', ['--key', KVM], [0, 4]],
    ['a key', ['--key', keyOfSoftwareUrl(RAPID_CDN)], [3]],
    ['a key that nothing has', ['--key', 'pypi:none'], []],
    ['the last ones', ['-n', '2'], [3, 4]],
    ['more than there are', ['--lines', '100'], [0, 1, 2, 3, 4]],
    ['the last one of a URL since a date', ['--since', '2000-01-01', '--key', KVM, '-n', '1'], [4]],
  ])('shows only what is asked for: %s', async (_what, options, wanted) => {
    const lines = await makeLog();
    const { code, stdout, stderr } = await cache('log', '--json', ...options);
    expect(stdout).toBe(wanted.map((index) => `${lines[index] ?? ''}\n`).join(''));
    expect(stderr).toBe(
      `${using()}${wanted.length === 5 ? '' : `${wanted.length === 0 ? 'none' : wanted.length} of `}5 records\n`,
    );
    expect(code).toBe(0);
  });

  it.each([
    ['2001-02-03 04:05 UTC', 4],
    ['2001-02-03 04:06 UTC', 2],
    ['2001-02-03 04:05Z', 4],
    ['2001-02-03T06:06+02:00', 2],
    ['2001-02-03 06:06 +0200', 2],
    ['2001-02-02 23:06 -05:00', 2],
  ])('takes --since %s, whatever the zone of the machine', async (since, count) => {
    await makeLog();
    for (const TZ of ['America/New_York', 'Pacific/Kiritimati']) {
      const args = [...PROGRAM.slice(1), 'log', '--since', since];
      const { stdout } = await resultOf(
        spawn(PROGRAM[0], args, { cwd: folder, env: { ...ENVIRONMENT, TZ } }),
      );
      expect(stdout.match(/^\d{4}-\d\d-\d\d \d\d:\d\d [+-]\d\d:00 {2}/gm), TZ).toHaveLength(count);
    }
  });

  it.each([
    ['America/New_York', '2001-02-02 23:05', '2001-02-02 23:05 -05:00', '2001-02-02 23:06'],
    ['Asia/Kolkata', '2001-02-03T09:35', '2001-02-03 09:35 +05:30', '2001-02-03T09:36'],
    ['Europe/Paris', '2001-02-03', '2001-02-03 05:05 +01:00', '2001-02-04'],
  ])('in the zone %s takes --since as it shows times', async (TZ, since, shown, later) => {
    await makeLog();
    const logSince = (text: string): Promise<CommandResult> =>
      resultOf(
        spawn(PROGRAM[0], [...PROGRAM.slice(1), 'log', '--since', text], {
          cwd: folder,
          env: { ...ENVIRONMENT, TZ },
        }),
      );
    expect((await logSince(since)).stdout).toContain(`\n${shown}  ci@10.0.0.7 `);
    expect((await logSince(later)).stdout).not.toContain('ci@10.0.0.7');
  });

  it.each([
    [['--since', '1'], /--since: not a duration: "1"; write a number with s, m, h, d or w/],
    [['--since', 'yesterday'], /--since: not a duration: "yesterday"/],
    [['--since', '2026-11-27 21:34 JST'], /--since: not a date: "2026-11-27 21:34 JST"; write 2026-11-20/],
    [['--since', '2026-11-27 09:34 pm'], /--since: not a date: "2026-11-27 09:34 pm"; write 2026-11-20/],
    [['--since', '2026-02-30'], /--since: not a date: "2026-02-30"; write 2026-11-20/],
    [
      ['--since', '2026-13-41'],
      /--since: not a date: "2026-13-41"; write 2026-11-20, "2026-11-20 21:34" or "2026-11-20 21:34 UTC"/,
    ],
    [['-n', '0'], /--lines: not a number of lines: "0"/],
    [['-n', 'few'], /--lines: not a number of lines: "few"/],
  ])('refuses %j with 2', async (options, message) => {
    const { code, stderr } = await cache('log', ...options);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  it('of a store where nothing was recorded says so, and makes nothing', async () => {
    await mkdir(join(store, 'bcache'), { recursive: true });
    const before = await contentsOf(folder);
    expect(await cache('log')).toEqual({
      ...{ code: 0, stdout: '', stderr: `${using()}the log is empty: nothing was recorded yet\n` },
    });
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('of no store ends with 3', async () => {
    const { code, stderr } = await cache('log');
    expect(stderr).toMatch(/there is no store at/);
    expect(code).toBe(3);
  });

  it('shows nothing that would act on the terminal', async () => {
    const storage = await openStorage(store, { write: true });
    const log = createStoreLog(storage, { who: { user: 'root', host: 'master' } });
    await log.record({ action: 'repair', reason: 'a\u001b[2Jb\nc\u009bd' });
    const { stdout } = await cache('log');
    expect(stdout).toContain('(a\\u001b[2Jb\\u000ac\\u009bd)\n');
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('cache log', () => {
  it('names a damaged record, shows the others and ends with 1', async () => {
    const records = await makeLog();
    const [, second = ''] = (await readdir(join(store, 'log'))).sort();
    await chmod(join(store, 'log', second), 0o644);
    await truncate(join(store, 'log', second), 100);
    const { code, stdout, stderr } = await cache('log', '--json');
    expect(stdout).toBe([0, 2, 3, 4].map((index) => `${records[index] ?? ''}\n`).join(''));
    expect(stderr).toBe(
      `${using()}{"error":{"code":"incomplete","message":"log/${second} of the store is damaged: it is not what was written"}}\n4 records\n`,
    );
    expect(code).toBe(1);
  });

  it('shows the custody.log of an earlier version before all else', async () => {
    const records = await makeLog();
    const at = '2000-11-20T21:34:00.000Z';
    const old = JSON.stringify({
      previous: digestOf(''),
      at,
      who: { user: 'bob', host: 'old' },
      action: 'gc',
    });
    await writeFile(join(store, 'custody.log'), `${old}\n${old.slice(0, 50)}`);
    const { code, stdout, stderr } = await cache('log', '--json');
    expect(
      stdout.split('\n').map((line) => (line === '' ? undefined : (JSON.parse(line) as unknown))),
    ).toEqual([...[old, ...records].map((line) => JSON.parse(line) as unknown), undefined]);
    expect(stderr).toBe(`${using()}cache: custody.log: 1 line can't be read\n6 records\n`);
    expect(code).toBe(0);
    expect((await cache('log')).stdout.split('\n')[1]).toBe(
      '2000-11-20 21:34 UTC  bob@old                   gc',
    );
  });
});

describe('commands record', () => {
  async function makeArchive(): Promise<string> {
    const archive = join(folder, 'medium', FILE);
    await mkdir(join(folder, 'medium'));
    await packRelease(await makeSoftwareRelease(join(folder, 'root'), KVM), archive);
    return archive;
  }

  interface Line {
    readonly who: unknown;
    readonly [member: string]: unknown;
  }
  const logged = async (): Promise<readonly Line[]> =>
    (await cache('log', '--json')).stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Line);

  it('what they import, once, by whom and from where', async () => {
    const archive = await makeArchive();
    await cache('import', archive, '--dry-run');
    expect((await cache('import', archive)).code).toBe(0);
    expect((await cache('import', archive)).code).toBe(0);
    expect((await cache('import', '--recheck', archive)).code).toBe(0);
    const lines = await logged();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      action: 'import',
      url: KVM,
      key: keyOfSoftwareUrl(KVM),
      source: archive,
    });
    expect(lines[0]?.who).toMatchObject({ user: userInfo().username, host: hostname() });
    expect(await recordsIn(store)).toHaveLength(1);
  });

  it('what they do, but stand by it when that fails: a warning, and 3 in the end', async () => {
    const archive = await makeArchive();
    await mkdir(join(store, 'bcache'), { recursive: true });
    await writeFile(join(store, 'log'), 'in the way');
    const { code, stdout, stderr } = await cache('import', archive);
    expect(stdout).toMatch(/imported/);
    expect(stderr).toMatch(/^cache: done, but not recorded \(import\): .*cache-store\/log/m);
    expect(code).toBe(3);
    await rm(join(store, 'log'));
    expect((await cache('list')).stdout).toContain(KVM);
  });

  it('on whose behalf sudo says that it runs', async () => {
    const archive = await makeArchive();
    const env = { ...ENVIRONMENT, SUDO_USER: 'bob' };
    await promisify(execFile)(PROGRAM[0], [...PROGRAM.slice(1), 'import', archive], { cwd: folder, env });
    expect((await logged())[0]?.who).toMatchObject({ sudoUser: 'bob' });
  });
});
