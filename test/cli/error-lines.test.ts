import { execFile } from 'node:child_process';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { mountReadOnly, mountTmpfs } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, PROGRAM, initSite, runCache, type CommandResult } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);

/** The only line that a command wrote. */
function lineOf({ stdout, stderr }: CommandResult): string {
  expect(stdout).toBe('');
  expect(stderr.split('\n')).toHaveLength(2);
  return stderr.trimEnd();
}

async function makeArchive(): Promise<string> {
  const release = await makeSoftwareRelease(join(folder, 'root'), KVM);
  const archive = join(folder, 'kvm-ubuntu-22.04.tar.gz');
  await packRelease(release, archive);
  return archive;
}

/** Runs a command as a user who owns nothing, where the test itself runs as root. */
async function asNobody(...args: readonly string[]): Promise<CommandResult> {
  const own = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : [];
  const [file = '', ...rest] = [...own, ...PROGRAM, ...args];
  try {
    const { stdout, stderr } = await promisify(execFile)(file, rest, { cwd: folder, env: ENVIRONMENT });
    return { code: 0, stdout, stderr };
  } catch (error) {
    return error as CommandResult;
  }
}

describe('what keeps a command from working is one line with its meaning and a way out', () => {
  it('a server that does not listen', async () => {
    const result = await cache('lookup', '--server', 'http://127.0.0.1:9', KVM, '--os', 'ubuntu-22.04');
    expect(lineOf(result)).toMatch(
      /^cache: http:\/\/127\.0\.0\.1:9\/bdir\/[0-9a-f]{32}: can't be reached \(ECONNREFUSED\): no server listens there; start it, or correct the URL$/,
    );
    expect(result.code).toBe(3);
  });

  it('a host name that is unknown', async () => {
    const result = await cache(
      'lookup',
      '--server',
      'http://no.such.host.invalid',
      KVM,
      '--os',
      'ubuntu-22.04',
    );
    expect(lineOf(result)).toMatch(
      /^cache: http:\/\/no\.such\.host\.invalid\/bdir\/[0-9a-f]{32}: can't be reached \((ENOTFOUND\): the host name no\.such\.host\.invalid is unknown; correct it, or add it to \/etc\/hosts or the DNS|EAI_AGAIN\): no name server answers for no\.such\.host\.invalid; look at the network, or name the host by its address)$/,
    );
    expect(result.code).toBe(3);
  });

  it('a lack of permission, with the user and the path', async () => {
    await chmod(folder, 0o755);
    await initSite(folder, 'site');
    await chmod(join(folder, 'site/store'), 0o700);
    await chmod(join(folder, 'site/config.ini'), 0o600);
    expect(lineOf(await asNobody('list', '-c', 'site/config.ini'))).toMatch(
      /^cache: .*\/site\/config\.ini: can't be read \(EACCES: permission denied for the user \S+\); run the command as the owner, or as root$/,
    );
    await chmod(join(folder, 'site/config.ini'), 0o644);
    const result = await asNobody('list', '-c', 'site/config.ini');
    expect(lineOf(result)).toMatch(
      /^cache: can't .*site\/store.*: permission denied for the user \S+ \(EACCES\); run the command as the owner, or as root$/,
    );
    expect(result.code).toBe(3);
  });

  it('a disk that is mounted read-only', async (context) => {
    await initSite(folder, 'site');
    const archive = await makeArchive();
    await mountReadOnly(context, join(folder, 'site'), join(folder, 'ro'));
    const result = await cache('import', '-c', 'ro/config.ini', archive);
    expect(lineOf(result)).toMatch(
      /^cache: kvm-ubuntu-22\.04\.tar\.gz: can't write .*\/ro\/store\/\S+: the file system is mounted read-only \(EROFS\); mount it to be written to$/,
    );
    expect(result.code).toBe(3);
  });

  it('a disk that is full', async (context) => {
    await mountTmpfs(context, join(folder, 'site'), 1 << 20);
    await initSite(folder, 'site');
    const result = await cache('import', '-c', 'site/config.ini', '-q', await makeArchive());
    expect(lineOf(result)).toMatch(
      /^cache: kvm-ubuntu-22\.04\.tar\.gz: no room in .*site\/store: needs 0\.\d MiB and must keep 256\.0 MiB in reserve \(\[upload\] min-free-space\); 0\.\d MiB is free; free some and try again$/,
    );
    expect(result.code).toBe(3);
  });

  it('a disk that is not mounted, with a command that can be pasted', async () => {
    await mkdir(join(folder, 'a site'));
    await writeFile(join(folder, 'a site/config.ini'), '[store]\npath = store\n');
    const line = lineOf(await cache('list', '-c', 'a site/config.ini'));
    expect(line).toBe(
      `cache: there is no store at ${folder}/a site/store; is its disk mounted? To make one: cache init -c '${folder}/a site/config.ini'`,
    );
  });
});

describe('a command that a message names', () => {
  it('has -c, in quotes, if the configuration is not found without', async () => {
    await initSite(folder, 'a site');
    const site = join(folder, 'a site');
    expect(lineOf(await cache('list', '-c', 'a site/config.ini'))).toBe(
      `the store has no software release; fill it with: cache import -c '${site}/config.ini' FOLDER`,
    );
    const here = 'the store has no software release; fill it with: cache import FOLDER';
    expect(lineOf(await runCache(site, 'list'))).toBe(here);
    expect(lineOf(await cache('sync', '-c', 'a site/config.ini', 'a site', 'a site'))).toBe(
      'cache: FROM and TO are the same; name two places',
    );
  });
});

describe('what is confused is one line that names the right call', () => {
  const MULTIARCHES = {
    amd64: 'x86_64-linux-gnu',
    arm64: 'aarch64-linux-gnu',
    i386: 'i686-linux-gnu',
    armhf: 'arm-linux-gnueabihf',
    ppc64le: 'powerpc64le-linux-gnu',
    mips: 'the output of gcc -dumpmachine, such as x86_64-linux-gnu',
  };

  it.each(Object.entries(MULTIARCHES))('--multiarch %s', async (name, right) => {
    const result = await cache('fetch', '--multiarch', name, '--server', 'http://127.0.0.1:9', KVM);
    expect(lineOf(result)).toBe(`cache: --multiarch: not a multiarch: "${name}"; write ${right}`);
    expect(result.code).toBe(2);
  });

  it('the same for import, pack and remove', async () => {
    await initSite(folder, 'site');
    const site = ['-c', 'site/config.ini', '--multiarch', 'amd64'];
    for (const args of [
      ['import', await makeArchive()],
      ['pack', 'root'],
      ['remove', KVM],
    ]) {
      const [command = '', ...rest] = args;
      expect(await cache(command, ...site, ...rest)).toEqual({
        code: 2,
        stdout: '',
        stderr: 'cache: --multiarch: not a multiarch: "amd64"; write x86_64-linux-gnu\n',
      });
    }
  });

  it('import of the folder of a release', async () => {
    const release = await makeSoftwareRelease(join(folder, 'root'), KVM);
    expect(await cache('import', release)).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: ${release} is the folder of a compiled release, not an archive; pack and import it: cache pack ${release}\n`,
    });
  });

  it('import of the store of a medium, and of any other store', async () => {
    await initSite(folder, 'site');
    await cache('import', '-q', '-c', 'site/config.ini', await makeArchive());
    await mkdir(join(folder, 'device'));
    await cache('export', '-q', '-c', 'site/config.ini', 'device');
    expect(await cache('import', 'device/store')).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: device/store is the store of a medium; import the medium: cache import ${folder}/device\n`,
    });
    expect(await cache('import', 'site/store')).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: site/store is a store, not a medium or archives; copy it: cache sync site/store ${folder}/cache-store\n`,
    });
  });

  it('import of archives that are all refused leaves no key and no store', async () => {
    await mkdir(join(folder, 'archives'));
    for (const name of ['a', 'b'])
      await writeFile(join(folder, 'archives', `${name}-ubuntu-22.04.tar.gz`), 'no archive');
    const { code, stdout, stderr } = await cache('import', 'archives');
    expect(code).toBe(1);
    expect(stdout.match(/REFUSED/g)).toHaveLength(2);
    expect(stderr).not.toMatch(/made a signing key/);
    expect(await readdir(folder)).toEqual(['archives']);
    // A good one makes them; none is shown twice.
    await makeArchive();
    const taken = await cache('import', '-q', 'archives', 'kvm-ubuntu-22.04.tar.gz');
    expect(taken.stdout.match(/\.tar\.gz/g)).toHaveLength(3);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['cache-store', 'sign.crt', 'sign.key']));
  });

  it('import of the empty folder for archives of a medium', async () => {
    await mkdir(join(folder, 'device/software'), { recursive: true });
    await writeFile(join(folder, 'device/manifest.json'), '');
    expect(await cache('import', '-q', 'device/software')).toEqual({
      code: 1,
      stdout: '',
      stderr: `cache: no archives in device/software; to import the medium: cache import ${folder}/device\n`,
    });
  });

  it('import of a folder that the user must not look into', async () => {
    await chmod(folder, 0o755);
    await mkdir(join(folder, 'private'), { mode: 0o700 });
    expect(lineOf(await asNobody('import', '-q', 'private'))).toMatch(
      /^cache: private: permission denied for the user \S+; run the command as the owner, or as root$/,
    );
  });

  it('import of a folder without archives beside a good one', async () => {
    await mkdir(join(folder, 'empty'));
    const { code, stdout, stderr } = await cache('import', '-q', 'empty', await makeArchive());
    expect(stderr).toBe('cache: no archives in empty\n');
    expect(stdout).toMatch(/^kvm-ubuntu-22\.04\.tar\.gz +imported /m);
    expect(code).toBe(1);
  });

  it('export of a URL before the medium', async () => {
    expect(await cache('export', KVM, '/mnt/a disk', 'pypi:a=1')).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: ${KVM} is a URL, not the folder of a medium; name the medium first: cache export '/mnt/a disk' ${KVM} pypi:a=1\n`,
    });
    expect((await cache('export', KVM)).stderr).toMatch(/: cache export MEDIUM https:\S+$/m);
  });
});
