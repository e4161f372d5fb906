import { execFile } from 'node:child_process';
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { systemCode } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { treeOf, unpackByPython } from '../fixtures/awkward-files.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, type SoftwareReleaseOptions } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, PROGRAM, initSite, resultOf, runCache, startCache } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const CDN = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
const KEY = keyOfSoftwareUrl(KVM);
const OS = ['--os', 'ubuntu-22.04'];
const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);
const makeFolder = (url = KVM, options?: SoftwareReleaseOptions): Promise<string> =>
  makeSoftwareRelease(join(folder, 'root'), url, options);

describe('pack', () => {
  it('writes to the software folder of a medium, imports into its store, and sums up in a table', async () => {
    await initSite(folder, 'medium');
    const config = join('medium', 'config.ini');
    const { code, stdout, stderr } = await cache('pack', '-c', config, ...OS, await makeFolder());
    expect(stdout).toMatch(/^ARCHIVE +RESULT +PLATFORM +SIZE +URL\n/);
    expect(stdout).toMatch(
      new RegExp(`^${FILE} +imported +ubuntu 22\\.04 x86_64-linux-gnu +[0-9.]+ KiB +${KVM}$`, 'm'),
    );
    expect(stderr).toBe(`1 imported\nthe archives are in ${join(folder, 'medium', 'software')}\n`);
    expect(code).toBe(0);
    expect(await readdir(join(folder, 'medium', 'software'))).toEqual([FILE]);
    const listed = await cache('list', '-c', config, '--json');
    expect(JSON.parse(listed.stdout)).toMatchObject([{ url: KVM, key: KEY }]);
    const again = await cache('import', '-c', config, join('medium', 'software'));
    expect(again).toMatchObject({ code: 0, stderr: '1 unchanged\n' });
  });

  it('writes to ./software without a configuration, and makes key and store', async () => {
    const { code, stderr } = await cache('pack', ...OS, await makeFolder());
    expect(stderr).toMatch(/made a signing key: .*\n1 imported\nthe archives are in software\n$/);
    expect(code).toBe(0);
    expect((await readdir(folder)).sort()).toEqual([
      'cache-store',
      'root',
      'sign.crt',
      'sign.key',
      'software',
    ]);
  });

  it('takes the system of this machine unless told', async () => {
    const text = await readFile('/etc/os-release', 'utf8');
    const [, id = ''] = /^ID="?([^"\n]*)/m.exec(text) ?? [];
    const { stdout } = await cache('pack', '--json', await makeFolder());
    const [result] = JSON.parse(stdout) as [{ platform: { os: string[] }; file: string }];
    expect(result.platform.os[0]).toBe(id);
    expect(result.file).toContain(`kvm-1.0.344-${id}`);
  });

  it('only writes the archive with --no-import, where --output tells', async () => {
    const { code, stdout } = await cache('pack', ...OS, '--no-import', '-o', 'archives', await makeFolder());
    expect(stdout).toMatch(new RegExp(`^${FILE} +packed +`, 'm'));
    expect(code).toBe(0);
    expect((await readdir(folder)).sort()).toEqual(['archives', 'root']);
  });

  it('writes nothing into the folder that it packs: its key would get to all nodes', async () => {
    const release = await makeFolder();
    await writeFile(join(folder, 'config.ini'), `[store]\npath = ${release}/parts/deep/store\n`);
    await symlink(release, join(folder, 'link'));
    const before = await contentsOf(release);
    for (const [cwd, ...args] of [
      [release, '.'],
      [join(release, 'bin'), '..'],
      [folder, '-c', 'config.ini', release],
      [folder, '-o', 'link/out', release],
    ] as const) {
      const { code, stdout, stderr } = await runCache(cwd, 'pack', ...OS, ...args);
      expect(stderr).toMatch(/ is inside .*, and would be packed with it; run the command in another folder/);
      expect([code, stdout]).toEqual([2, '']);
    }
    expect(await contentsOf(release)).toEqual(before);
    const beside = await runCache(join(folder, 'root'), 'pack', ...OS, KEY);
    expect(beside.code).toBe(0);
  });

  it('ends with 1 when a folder is refused, names it and the reason, and packs the rest', async () => {
    const good = await makeFolder();
    const bad = await makeFolder(CDN, { completed: false });
    const { code, stdout, stderr } = await cache('pack', ...OS, bad, good, 'nowhere');
    expect(stdout).toMatch(new RegExp(`^${bad} +REFUSED$`, 'm'));
    expect(stdout).toMatch(new RegExp(`^${FILE} +imported`, 'm'));
    expect(stdout).toMatch(/^nowhere +REFUSED$/m);
    expect(stderr).toMatch(new RegExp(`^cache: ${bad}: its build is not finished.*--force$`, 'm'));
    expect(stderr).toMatch(/^cache: nowhere: no such folder$/m);
    expect(stderr).toMatch(/^1 imported, 2 refused$/m);
    expect(code).toBe(1);
    const forced = await cache('pack', ...OS, '--force', bad);
    expect(forced).toMatchObject({ code: 0, stdout: expect.stringContaining('imported') as string });
    expect(forced.stderr).toMatch(/^cache: rapid-cdn-1\.0\.344-.*: note: its build is not finished/m);
  });

  it('makes neither key nor store when there is nothing to pack', async () => {
    const { code, stdout } = await cache('pack', '--json', 'nowhere');
    expect(JSON.parse(stdout)).toEqual([{ folder: 'nowhere', status: 'refused', reason: 'no such folder' }]);
    expect(code).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([
    [['--url', KVM, 'a', 'b'], /--url names one release, but there are 2 folders/],
    [['--os', 'linux', 'a'], /not an operating system: "linux"/],
    [[], /missing required argument 'folder'/],
  ])('ends with 2 for %j', async (args, message) => {
    const { code, stderr } = await cache('pack', ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual([]);
  });

  it('ends with 2 where the folder above the output is not there', async () => {
    const { code, stderr } = await cache('pack', ...OS, '-o', 'mnt/software', await makeFolder());
    expect(stderr).toMatch(/^cache: mnt\/software: .*is the medium mounted\?$/m);
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual(['root']);
  });

  it('ends with 3 when the disk is full, and still tells what was packed before', async (context) => {
    await mountTmpfs(context, join(folder, 'disk'), 4_000_000);
    await writeFile(join(folder, 'config.ini'), '[upload]\nmin-free-space = 0\n');
    await placeKeyPair(folder);
    await cache('init', '-c', 'config.ini');
    const folders = [await makeFolder(), await makeFolder(CDN, { payload: 12_000_000 })];
    const { code, stdout, stderr } = await cache('pack', ...OS, '-o', 'disk', ...folders);
    expect(stdout).toMatch(new RegExp(`^${FILE} +imported`, 'm'));
    expect(stderr).toMatch(/^cache: .*disk.*no room/m);
    expect(code).toBe(3);
    expect(await readdir(join(folder, 'disk'))).toEqual([FILE]);
  });
});

describe('a pack that is killed', () => {
  /** 0 where there is none: it got another name, or was removed. */
  async function sizeOf(path: string): Promise<number> {
    try {
      return (await stat(path)).size;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return 0;
      throw error;
    }
  }

  it('leaves nothing under a name that counts, and the next one takes its leftovers away', async () => {
    await initSite(folder, 'medium');
    const release = await makeFolder(KVM, { payload: 60_000_000 });
    const args = ['pack', '-c', join('medium', 'config.ini'), ...OS, release];
    const software = join(folder, 'medium', 'software');
    const before = Object.keys(await contentsOf(join(folder, 'medium', 'store')));
    const child = startCache(folder, args);
    const ended = resultOf(child);
    const halfWritten = async (): Promise<boolean> => {
      const name = (await readdir(software)).find((each) => each.endsWith('.part'));
      return name !== undefined && (await sizeOf(join(software, name))) > 1_000_000;
    };
    while (!(await halfWritten())) expect(child.exitCode).toBeNull();
    child.kill('SIGKILL');
    await ended;

    const left = await readdir(software);
    expect(left).toEqual([expect.stringMatching(new RegExp(`^\\..*\\.${KEY}\\.part$`))]);
    const after = Object.keys(await contentsOf(join(folder, 'medium', 'store')));
    expect(after.filter((name) => !name.startsWith('tmp/'))).toEqual(before);
    expect(await cache('import', '-c', join('medium', 'config.ini'), software)).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no archives in/) as string,
    });

    expect(await cache(...args)).toMatchObject({ code: 0 });
    expect(await readdir(software)).toEqual([FILE]);
    await unpackByPython(join(software, FILE), join(folder, 'unpacked'));
    expect(treeOf(join(folder, 'unpacked', KEY))).toEqual(treeOf(release));
  });
});

/** Runs a command on a terminal of 120 columns, and on one core, and prints all that came to it. */
const ON_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    # With many cores it might be done before there is anything to be drawn a second time.
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
try:
    while True:
        piece = os.read(terminal, 65536)
        if not piece:
            break
        sys.stdout.buffer.write(piece)
except OSError:
    pass
os.waitpid(pid, 0)
`;

it('shows on a terminal how far it is', async () => {
  const release = await makeFolder(KVM, { payload: 30_000_000 });
  const args = ['-c', ON_TERMINAL, ...PROGRAM, 'pack', '--no-import', ...OS, release];
  const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
  const drawn = stdout.split('\r\u001b[K').slice(1);
  expect(drawn.length).toBeGreaterThan(2);
  for (const line of drawn.slice(0, -1))
    expect(line).toMatch(/^\[[#.]{20}\] +\d+% {2}[0-9.]+ [KM]?i?B of \d\d/);
  expect(drawn.at(-1)).toMatch(/^ARCHIVE +RESULT/);
});
