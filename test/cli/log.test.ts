import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import type { CustodyLog } from '../../src/cache/custody.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { createCustodyFile } from '../../src/storage/custody-file.ts';
import { openFilesystemStorage } from '../../src/storage/filesystem.ts';
import { judgeCustody } from '../fixtures/custody.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { CACHE, ENVIRONMENT, runCache } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';

let folder: string;
let store: string;
let path: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  store = join(folder, 'cache-store');
  path = join(store, 'custody.log');
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);

/** A store in which alice did this and that, long ago and just now. */
async function makeLog(): Promise<readonly string[]> {
  await openFilesystemStorage(store, { write: true });
  const logAt = (now?: string): CustodyLog =>
    createCustodyFile(store, {
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
  return (await readFile(path, 'utf8')).trimEnd().split('\n');
}

describe('cache log', () => {
  it('shows when, who, what and what with, the newest last, and the digest to note down', async () => {
    const lines = await makeLog();
    const { code, stdout, stderr } = await cache('log');
    const rows = stdout.trimEnd().split('\n');
    expect(rows[0]).toMatch(/^WHEN +WHO +ACTION +WHAT$/);
    expect(rows.slice(1, 4)).toEqual([
      `2001-01-02 03:04  alice as root@master      import  ${KVM}  1.5 KiB  from /mnt/device/software/kvm.tar.gz`,
      `2001-02-03 04:05  ci@10.0.0.7               upload  blob ${digestOf('blob').slice(0, 16)}  5 B`,
      `2001-02-03 04:05  anonymous@fd00::7         upload  blob ${digestOf('blob').slice(0, 16)}`,
    ]);
    expect(rows[4]).toContain(`export  ${RAPID_CDN}  to /mnt/x`);
    expect(rows[5]).toContain(`remove  ${KVM}  1.5 KiB  (named)`);
    expect(rows).toHaveLength(6);
    expect(stderr).toBe(`5 lines; the sha512 of the last one is ${digestOf(lines[4] ?? '')}\n`);
    expect(code).toBe(0);
  });

  it('prints the lines as they are with --json', async () => {
    await makeLog();
    const { code, stdout } = await cache('log', '--json', '-q');
    expect(stdout).toBe(await readFile(path, 'utf8'));
    expect(code).toBe(0);
    await writeFile(join(folder, 'copy'), stdout);
    expect(await judgeCustody(join(folder, 'copy'))).toEqual({ whole: 5, cut: 0 });
  });

  it.each<[string, readonly string[], readonly number[]]>([
    ['a date', ['--since', '2001-02-01'], [1, 2, 3, 4]],
    ['a date and a time', ['--since', '2001-02-03T04:05:07Z'], [3, 4]],
    ['days', ['--since', '1'], [3, 4]],
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
    expect(stderr).toMatch(
      wanted.length === 0
        ? /^none of the 5 lines is asked for; the sha512/
        : new RegExp(`^${wanted.length} of 5 lines; the`),
    );
    expect(code).toBe(0);
  });

  it.each([
    [['--since', 'yesterday'], /--since: not a length of time: "yesterday"/],
    [['--since', '2026-13-41'], /--since: not a date: "2026-13-41"; write 2026-11-20/],
    [['-n', '0'], /--lines: not a number of lines: "0"/],
    [['-n', 'few'], /--lines: not a number of lines: "few"/],
  ])('refuses %j with 2', async (options, message) => {
    const { code, stderr } = await cache('log', ...options);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });

  const NO_LOG = 'there is no custody.log in the store: nothing was recorded yet, or it was moved away\n';

  it('of a store where nothing was recorded says so, and makes nothing', async () => {
    await mkdir(join(store, 'bcache'), { recursive: true });
    const before = await contentsOf(folder);
    expect(await cache('log')).toEqual({ code: 0, stdout: '', stderr: NO_LOG });
    expect(await contentsOf(folder)).toEqual(before);
    await makeLog();
    await rm(path);
    expect((await cache('log')).stderr).toBe(NO_LOG);
    await writeFile(path, '');
    expect((await cache('log')).stderr).toBe('nothing was recorded yet\n');
  });

  it('of no store ends with 3', async () => {
    const { code, stderr } = await cache('log');
    expect(stderr).toMatch(/there is no store at/);
    expect(code).toBe(3);
  });

  it('shows nothing that would act on the terminal', async () => {
    await openFilesystemStorage(store, { write: true });
    const log = createCustodyFile(store, { who: { user: 'root', host: 'master' } });
    await log.record({ action: 'repair', reason: 'a\u001b[2Jb\nc\u009bd' });
    const { stdout } = await cache('log');
    expect(stdout).toContain('(a?[2Jb?c?d)\n');
    // eslint-disable-next-line no-control-regex
    expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('cache log of a broken chain', () => {
  it('names the lines, shows what there is and ends with 1', async () => {
    const lines = await makeLog();
    await writeFile(path, [lines[0], lines[2], 'hello', lines[3], ''].join('\n'));
    const { code, stdout, stderr } = await cache('log', '--json');
    expect(stdout).toBe(`${lines[0] ?? ''}\n${lines[2] ?? ''}\n${lines[3] ?? ''}\n`);
    expect(stderr).toMatch(/^cache: custody\.log: line 2 does not continue line 1: .*$/m);
    expect(stderr).toMatch(/^cache: custody\.log: line 3 is no line of this log$/m);
    expect(stderr).toMatch(/^cache: custody\.log: line 4 does not continue line 3: .*$/m);
    expect(code).toBe(1);
    expect((await cache('log', '-n', '1', '-q')).code).toBe(1);
  });

  it('does not fill the screen', async () => {
    const [line = ''] = await makeLog();
    await writeFile(path, `${line}\n`.repeat(1000));
    const { code, stderr } = await cache('log');
    expect(stderr.split('\n').length).toBeLessThan(25);
    expect(stderr).toContain('more is wrong');
    expect(code).toBe(1);
  });

  it('tells of a writer who was interrupted, which is nothing wrong', async () => {
    const lines = await makeLog();
    await writeFile(path, `${lines[0] ?? ''}\n${(lines[1] ?? '').slice(0, 300)}`);
    const { code, stderr } = await cache('log');
    expect(stderr).toMatch(/^cache: custody\.log: line 2 is cut off: /m);
    expect(code).toBe(0);
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
      softwareUrl: KVM,
      key: keyOfSoftwareUrl(KVM),
      source: archive,
    });
    expect(lines[0]?.who).toMatchObject({ user: userInfo().username, host: hostname() });
    expect(await judgeCustody(path)).toEqual({ whole: 1, cut: 0 });
  });

  it('what they do, but stand by it when that fails: a warning, and 3 in the end', async () => {
    const archive = await makeArchive();
    await mkdir(join(store, 'bcache'), { recursive: true });
    await mkdir(path);
    const { code, stdout, stderr } = await cache('import', archive);
    expect(stdout).toMatch(/imported/);
    expect(stderr).toMatch(/^cache: done, but not recorded \(import\): .*custody\.log/m);
    expect(code).toBe(3);
    await rm(path, { recursive: true });
    expect((await cache('list')).stdout).toContain(KVM);
  });

  it('on whose behalf sudo says that it runs', async () => {
    const archive = await makeArchive();
    const env = { ...ENVIRONMENT, SUDO_USER: 'bob' };
    await promisify(execFile)(process.execPath, [CACHE, 'import', archive], { cwd: folder, env });
    expect((await logged())[0]?.who).toMatchObject({ sudoUser: 'bob' });
  });
});
