import { hash } from 'bcryptjs';
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { initSite, runCache } from '../cli/command.ts';
import { bareDebian } from '../fixtures/bare-debian.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run } from '../http/outside-programs.ts';
import { bootDebian, type BootedDebian } from './booted-debian.ts';

const execute = promisify(execFile);

const REPOSITORY = join(import.meta.dirname, '../..');
const { version } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')) as {
  version: string;
};
const [AMD64, ARM64] = ['amd64', 'arm64'].map((arch) =>
  join(REPOSITORY, `dist/shacache_${version}_${arch}.deb`),
) as [string, string];
const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const KEY = keyOfSoftwareUrl(URL);

/** `npm run test:packaging` makes the packages; a test of old ones would say nothing. */
async function isBuilt(): Promise<boolean> {
  if (!existsSync(AMD64)) return false;
  const { mtimeMs } = await stat(AMD64);
  for (const source of ['src', 'scripts'])
    for (const file of await readdir(join(REPOSITORY, source), { recursive: true, withFileTypes: true }))
      if (file.isFile() && (await stat(join(file.parentPath, file.name))).mtimeMs > mtimeMs)
        throw new Error(`${AMD64} is older than ${file.name}; run: npm run test:packaging`);
  return true;
}

async function sha512(file: string): Promise<string> {
  return createHash('sha512')
    .update(await readFile(file))
    .digest('hex');
}

describe.skipIf(!(await isBuilt()))('the Debian package', () => {
  it('is the same, byte for byte, when it is made again', { timeout: 600_000 }, async () => {
    const before = [await sha512(AMD64), await sha512(ARM64)];
    await execute('npm', ['run', '--silent', 'build:deb']);
    expect([await sha512(AMD64), await sha512(ARM64)]).toEqual(before);
  });

  it.skipIf(lacks('dpkg-deb'))('holds the same for both architectures, all of root', async () => {
    const list = async (file: string): Promise<readonly string[]> => {
      const { stdout } = await run('dpkg-deb', ['--contents', file]);
      return stdout.trimEnd().split('\n');
    };
    const files = await list(AMD64);
    for (const file of files) expect(file).toMatch(/^[d-]rw[x-]r-[x-]r-[x-] root\/root /);
    const names = (lines: readonly string[]): readonly string[] =>
      lines.map((line) => line.replace(/^.* \.\//, '/'));
    expect(names(files)).toEqual(names(await list(ARM64)));
    for (const [file, arch] of [
      [AMD64, 'amd64'],
      [ARM64, 'arm64'],
    ] as const)
      expect((await run('dpkg-deb', ['--field', file, 'Version', 'Architecture'])).stdout).toBe(
        `Version: ${version}\nArchitecture: ${arch}\n`,
      );
  });

  it.skipIf(lacks('lintian'))(
    'has no error or warning that lintian finds',
    { timeout: 300_000 },
    async () => {
      const args = ['--allow-root', '--fail-on', 'error,warning', '--tag-display-limit', '0', AMD64, ARM64];
      expect(await execute('lintian', args)).toMatchObject({ stdout: '' });
    },
  );
});

/** All that is in a Debian, but for what runs and what dpkg itself remembers. */
async function filesOf(root: string): Promise<readonly string[]> {
  const skipped = [
    'proc',
    'sys',
    'dev',
    'run',
    'tmp',
    'var/log',
    'var/lib/dpkg',
    'var/cache/debconf',
  ].flatMap((path) => ['-path', join(root, path), '-prune', '-o']);
  const { stdout } = await run('find', [root, ...skipped, '-printf', '/%P\\n']);
  return stdout.trimEnd().split('\n').sort();
}

/** Puts an archive of a release into /tmp. */
async function importRelease(root: string): Promise<void> {
  const folder = await temporaryFolder();
  const release = await makeSoftwareRelease(join(folder, 'root'), URL);
  await packRelease(release, join(root, 'tmp/kvm-ubuntu-22.04.tar.gz'));
}

describe.skipIf(!(await isBuilt()))('the package in a bare Debian', () => {
  it(
    'is installed, serves, is upgraded, removed and purged, and leaves what policy allows',
    { timeout: 300_000 },
    async (context) => {
      const root = await bareDebian(context, await temporaryFolder());
      const inside = async (...words: readonly string[]): Promise<string> => {
        const { code, stdout, stderr } = await run('chroot', [root, ...words], {
          DEBIAN_FRONTEND: 'noninteractive',
          LC_ALL: 'C.UTF-8',
          PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        });
        if (code !== 0)
          throw new Error(`exit code ${String(code)} of ${words.join(' ')}:\n${stdout}${stderr}`);
        return stdout;
      };
      const before = await filesOf(root);
      await copyFile(AMD64, join(root, 'tmp/shacache.deb'));
      await inside('dpkg', '-i', '/tmp/shacache.deb');

      expect(await inside('stat', '-c', '%U %G %a', '/var/lib/shacache', '/var/lib/shacache/store')).toBe(
        'shacache shacache 755\nshacache shacache 755\n',
      );
      expect(await inside('getent', 'passwd', 'shacache')).toMatch(
        /:\/var\/lib\/shacache:\/usr\/sbin\/nologin$/m,
      );
      expect(await inside('dpkg', '--verify', 'shacache')).toBe('');
      // Commands find the configuration by themselves, from any folder.
      expect(JSON.parse(await inside('cache', 'list', '--json'))).toEqual([]);
      await inside('cache', 'keygen', '-c', '/etc/shacache/config.ini');
      await importRelease(root);
      await inside('cache', 'import', '/tmp/kvm-ubuntu-22.04.tar.gz');

      // The line that systemd would run, as its user.
      const unit = await readFile(join(root, 'usr/lib/systemd/system/shacache.service'), 'utf8');
      const [, line = ''] = /^ExecStart=(.*)$/m.exec(unit) ?? [];
      const server = spawn(
        'chroot',
        ['--userspec=shacache:shacache', root, ...line.split(' '), '--listen', '127.0.0.1:0'],
        { stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env['PATH'] } },
      );
      const ended = new Promise((resolve) => server.once('close', resolve));
      onTestFinished(async () => {
        server.kill('SIGKILL');
        await ended;
      });
      let shown = '';
      server.stdout.on('data', (text: Buffer) => (shown += text.toString()));
      await expect.poll(() => shown).toMatch(/ on http:\/\/\S+\n/);
      const [, url = ''] = / on (http:\S+)\n/.exec(shown) ?? [];
      const { stdout } = await run('curl', [...PLAIN_CURL, '-s', `${url}/bdir/${KEY}`]);
      expect(JSON.parse(stdout)).toHaveLength(1);
      server.kill('SIGTERM');
      await ended;

      // An upgrade keeps a changed configuration, and the store.
      const config = join(root, 'etc/shacache/config.ini');
      const changed = `${await readFile(config, 'utf8')}\n[pin]\nkvm = ${URL}\n`;
      await writeFile(config, changed);
      await inside('dpkg', '-i', '/tmp/shacache.deb');
      expect(await readFile(config, 'utf8')).toBe(changed);
      expect(JSON.parse(await inside('cache', 'list', '--json'))).toHaveLength(1);

      // A missing store may be on a disk that is not mounted: no upgrade makes another.
      await inside('mv', '/var/lib/shacache/store', '/var/lib/shacache/elsewhere');
      await inside('dpkg', '-i', '/tmp/shacache.deb');
      expect(await readdir(join(root, 'var/lib/shacache'))).toEqual(['elsewhere']);
      await inside('mv', '/var/lib/shacache/elsewhere', '/var/lib/shacache/store');

      await inside('dpkg', '--remove', 'shacache');
      expect(await readFile(config, 'utf8')).toBe(changed);
      expect(existsSync(join(root, 'usr/bin/cache'))).toBe(false);
      expect(existsSync(join(root, 'var/lib/shacache/store/bdir', KEY))).toBe(true);

      // A purge takes the configuration, and neither releases nor keys.
      expect(await inside('dpkg', '--purge', 'shacache')).toContain(
        'shacache: the releases and packages in /var/lib/shacache stay; to remove them: rm -r /var/lib/shacache\n',
      );
      expect((await readdir(join(root, 'etc/shacache'))).sort()).toEqual(['sign.crt', 'sign.key']);
      expect(existsSync(join(root, 'var/lib/shacache/store/bdir', KEY))).toBe(true);

      // Without releases it takes the store, too.
      await inside('rm', '-r', '/var/lib/shacache', '/etc/shacache');
      await inside('dpkg', '-i', '/tmp/shacache.deb');
      await inside('dpkg', '--purge', 'shacache');
      expect(await inside('getent', 'passwd', 'shacache')).not.toBe('');
      const accounts = /^\/etc\/(passwd|group|g?shadow|sub[ug]id|\.pwd\.lock)-?$/;
      expect((await filesOf(root)).filter((path) => !accounts.test(path))).toEqual(
        before.filter((path) => !accounts.test(path)),
      );
    },
  );
});

/** Puts a medium of another site, with one release, at /mnt. */
async function bringMedium(root: string): Promise<void> {
  const folder = await temporaryFolder();
  await initSite(folder, 'medium');
  const release = await makeSoftwareRelease(join(folder, 'root'), URL);
  await packRelease(release, join(folder, 'kvm-ubuntu-22.04.tar.gz'));
  for (const args of [
    ['import', 'kvm-ubuntu-22.04.tar.gz'],
    ['export', 'medium'],
  ])
    expect(await runCache(folder, '-c', 'medium/config.ini', ...args)).toMatchObject({ code: 0 });
  await cp(join(folder, 'medium'), join(root, 'mnt'), { recursive: true });
}

async function waitForState(debian: BootedDebian, state: string): Promise<void> {
  await expect
    .poll(async () => (await debian.attempt('systemctl is-active shacache.service')).stdout)
    .toBe(`${state}\n`);
}

async function installed(context: TestContext): Promise<BootedDebian> {
  const debian = await bootDebian(context, await temporaryFolder());
  await copyFile(AMD64, join(debian.root, 'root/shacache.deb'));
  await debian.run('dpkg -i /root/shacache.deb');
  return debian;
}

const HEALTH = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:5050/health";

describe.skipIf(!(await isBuilt()))('the package in a Debian with systemd', () => {
  it(
    'starts its service, which says that it is ready, reloads, restarts and stops',
    { timeout: 300_000 },
    async (context) => {
      const debian = await installed(context);
      const show = (name: string): Promise<string> =>
        debian.run(`systemctl show -P ${name} shacache.service`);
      await waitForState(debian, 'active');
      expect(await show('StatusText')).toMatch(
        /^serving \/var\/lib\/shacache\/store on http:\/\/\S+:5050\n$/,
      );
      expect(await show('Type')).toBe('notify\n');
      expect(await debian.run(HEALTH)).toBe('200');
      expect(await debian.run('systemctl is-enabled shacache.service')).toBe('enabled\n');
      const pid = await show('MainPID');
      await debian.run('systemctl reload shacache.service');
      await waitForState(debian, 'active');
      expect(await show('MainPID')).toBe(pid);

      await bringMedium(debian.root);
      await debian.run(
        'cache trust add /mnt/miscellaneous/sign.crt && systemctl restart shacache.service && cache import /mnt',
      );
      expect(await debian.run(`curl -s http://127.0.0.1:5050/bdir/${KEY}`)).toContain(URL);

      await debian.run('dpkg -i /root/shacache.deb');
      await waitForState(debian, 'active');
      expect(await show('MainPID')).not.toBe(pid);
      expect(await debian.run(`curl -s http://127.0.0.1:5050/bdir/${KEY}`)).toContain(URL);

      await debian.run('dpkg --remove shacache');
      expect((await debian.attempt(HEALTH)).stdout).toBe('000');
      await debian.run('dpkg --purge shacache');
      expect(
        await debian.run(
          'systemctl list-unit-files --no-legend "shacache*"; find /etc/systemd /var/lib/systemd -name "*shacache*"',
        ),
      ).toBe('');
    },
  );

  it('is restarted when it hangs', { timeout: 300_000 }, async (context) => {
    const debian = await installed(context);
    await debian.run(
      'mkdir -p /run/systemd/system/shacache.service.d && printf "[Service]\\nWatchdogSec=4s\\n" > /run/systemd/system/shacache.service.d/watchdog.conf && systemctl daemon-reload && systemctl restart shacache.service',
    );
    const show = (name: string): Promise<string> => debian.run(`systemctl show -P ${name} shacache.service`);
    const restarts = (): Promise<string> => show('NRestarts');
    // It lives for longer than the watchdog waits.
    const heard = async (): Promise<number> => Number(await show('WatchdogTimestampMonotonic'));
    const start = await heard();
    await expect.poll(heard, { timeout: 60_000 }).toBeGreaterThan(start + 9e6);
    expect(await restarts()).toBe('0\n');
    await debian.run('kill -STOP "$(systemctl show -P MainPID shacache.service)"');
    await expect.poll(restarts, { timeout: 60_000 }).toBe('1\n');
    await waitForState(debian, 'active');
    expect(await debian.run(HEALTH)).toBe('200');
  });

  it('takes the sockets of systemd, of ports below 1024, too', { timeout: 300_000 }, async (context) => {
    const debian = await installed(context);
    await debian.run(`
      set -e
      mkdir -p /etc/systemd/system/shacache.socket.d
      printf '[Socket]\\nListenStream=80\\n' > /etc/systemd/system/shacache.socket.d/port.conf
      systemctl daemon-reload
      systemctl stop shacache.service
      systemctl start shacache.socket`);
    expect(
      await debian.run(`${HEALTH}; curl -s -o /dev/null -w ' %{http_code}' http://127.0.0.1:80/health`),
    ).toBe('200 200');
    expect(await debian.run('systemctl show -P StatusText shacache.service')).toMatch(/:5050 .*:80\n$/);
  });

  it(
    'keeps its sandbox at 2.0 or better, and its units without a fault',
    { timeout: 300_000 },
    async (context) => {
      const debian = await installed(context);
      const [, exposure] =
        /Overall exposure level for shacache\.service: ([\d.]+)/.exec(
          await debian.run('systemd-analyze security --no-pager shacache.service'),
        ) ?? [];
      expect(Number(exposure)).toBeLessThanOrEqual(2);
      expect(
        await debian.attempt('systemd-analyze verify --man=no shacache.service shacache.socket'),
      ).toEqual({
        ...{ code: 0, stdout: '', stderr: '' },
      });
    },
  );

  it(
    'can do in its sandbox what the program does: TLS, passwords, uploads, checks of the store',
    { timeout: 300_000 },
    async (context) => {
      const debian = await installed(context);
      const folder = join(debian.root, 'etc/shacache');
      await writeFile(join(folder, 'htpasswd'), `alice:${await hash('secret', 4)}\n`);
      const config = (await readFile(join(folder, 'config.ini'), 'utf8'))
        .replace('listen = [::]:5050', 'listen = http://[::]:5050 https://[::]:5443\ntls = auto')
        .replace('[store]', '[store]\nscrub-interval = 1m');
      const access =
        '[access]\nanonymous = none\nhtpasswd-file = /etc/shacache/htpasswd\nupload-users = alice\n';
      await writeFile(join(folder, 'config.ini'), `${config}${access}`);
      await debian.run('systemctl restart shacache.service');
      const curl = (words: string): Promise<string> => debian.run(`curl -s -w ' %{http_code}' ${words}`);
      expect(await curl('-o /dev/null -u alice:wrong http://127.0.0.1:5050/bdir/')).toBe(' 401');
      expect(await curl('-o /dev/null -u alice:secret --insecure https://127.0.0.1:5443/bdir/')).toBe(' 200');
      expect(
        await curl(
          '-o /dev/null -u alice:secret --data-binary @/etc/os-release http://127.0.0.1:5050/bcache',
        ),
      ).toBe(' 201');
      const journal = (): Promise<string> => debian.run('journalctl -u shacache.service -o cat');
      await expect.poll(journal).toMatch(/checked the store: .*: nothing wrong/);
      expect(await journal()).not.toMatch(/EPERM|EACCES|hears nothing/);
      expect(await debian.run('stat -c "%U %a" /var/lib/shacache/server.key')).toBe('shacache 600\n');
    },
  );
});
