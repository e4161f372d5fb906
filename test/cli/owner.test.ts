import { execFileSync, spawn } from 'node:child_process';
import { appendFile, chmod, chown, cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { clock } from '../fixtures/clock.ts';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { membersOf } from '../fixtures/entries.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, say } from '../http/outside-programs.ts';
import { ENVIRONMENT, PROGRAM, resultOf, type CommandResult } from './command.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';

/** Whom the store belongs to, and the server runs as: not nobody, whom other tests are. */
const SERVICE = 61_234;
const URLS = ['kvm', 're6stnet'].map(
  (name) => `https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/${name}/software.cfg`,
);

const isRoot = process.geteuid?.() === 0;
if (!isRoot) say('skipped here: what root writes for others needs root');

/** Runs `cache` as somebody, with a umask, in a folder. */
function cacheAs(
  user: number,
  umask: string,
  cwd: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  return resultOf(start(user, umask, cwd, args));
}

/** @param variables beside those of the environment */
function start(
  user: number,
  umask: string,
  cwd: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
) {
  const command = `umask ${umask}; exec setpriv --reuid=${user} --regid=${user} --clear-groups "$@"`;
  const child = spawn('sh', ['-c', command, 'sh', ...PROGRAM, ...args], {
    cwd,
    env: { ...ENVIRONMENT, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function serveAsService(site: string): Promise<string> {
  const child = start(SERVICE, '022', site, ['serve', '--listen', '127.0.0.1:0']);
  let told = '';
  child.stderr.resume();
  for await (const text of child.stdout.iterator({ destroyOnReturn: false })) {
    told += String(text);
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(told) ?? [];
    if (url === undefined) continue;
    child.stdout.resume();
    return url;
  }
  throw new Error(`the server ended: ${told}`);
}

/** A site that belongs to the service, and a folder with two archives. */
async function makeServiceSite(): Promise<{ readonly site: string; readonly archives: string }> {
  const folder = await temporaryFolder();
  await chmod(folder, 0o755);
  const [site, archives] = [join(folder, 'site'), join(folder, 'archives')];
  await mkdir(site);
  await chown(site, SERVICE, SERVICE);
  await mkdir(archives);
  for (const [index, url] of URLS.entries()) {
    const release = await makeSoftwareRelease(join(folder, 'root'), url);
    await packRelease(release, join(archives, `release-${index}-ubuntu-22.04.tar.gz`));
  }
  await writeFile(
    join(site, 'config.ini'),
    '[store]\npath = store\n[signature]\ncertificate-file = sign.crt\nprivate-key-file = sign.key\n[access]\nanonymous = upload\n[upload]\nallow-unsigned = true\nmin-free-space = 0\n',
  );
  return { site, archives };
}

/** Root has made its key and store, imported the archives, and copied the store to `copy`. */
async function makeCopiedSite(): Promise<string> {
  const { site, archives } = await makeServiceSite();
  await expectEnd(0, cacheAs(0, '077', site, 'keygen'));
  await expectEnd(0, cacheAs(0, '077', site, 'init', '-c', 'config.ini'));
  await expectEnd(0, cacheAs(0, '077', site, 'import', archives));
  await expectEnd(0, cacheAs(0, '077', site, 'sync', 'store', 'copy'));
  return site;
}

async function makeStore(site: string, mode = 0o755): Promise<string> {
  const store = join(site, 'store');
  await mkdir(join(store, 'bcache'), { recursive: true });
  await chmod(store, mode);
  for (const path of [store, join(store, 'bcache')]) await chown(path, SERVICE, SERVICE);
  return store;
}

async function expectEnd(code: number, running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  expect(result.code, `${result.stdout}${result.stderr}`).toBe(code);
  return result;
}

describe.skipIf(!isRoot || lacks('setpriv'))('what root writes into the store of a service', () => {
  it.each(['077', '022'])('with umask %s can be served, written beside and removed', async (umask) => {
    const { site, archives } = await makeServiceSite();
    const store = await makeStore(site);
    await expectEnd(0, cacheAs(0, umask, site, 'keygen'));
    await expectEnd(0, cacheAs(0, umask, site, 'import', archives));
    for (const name of await readdir(store, { recursive: true })) {
      const { uid, gid, mode } = await stat(join(store, name));
      expect({ name, uid, gid }).toEqual({ name, uid: SERVICE, gid: SERVICE });
      expect((mode & 0o777).toString(8), name).toMatch(/^755|444|644$/);
    }
    expect((await stat(join(site, 'sign.crt'))).mode & 0o777).toBe(0o644);
    // The server is to hold no key, whomever the folder belongs to.
    expect(await stat(join(site, 'sign.key'))).toMatchObject({ uid: 0 });
    expect((await stat(join(site, 'sign.key'))).mode & 0o777).toBe(0o600);

    const url = await serveAsService(site);
    for (const software of URLS) {
      const answer = await fetch(`${url}/bdir/${keyOfSoftwareUrl(software)}`);
      expect(answer.status).toBe(200);
      const [[json]] = (await answer.json()) as [[string]];
      const { sha512 } = JSON.parse(json) as { sha512: string };
      expect((await fetch(`${url}/bcache/${sha512}`)).status).toBe(200);
    }
    // To a key that root imported.
    const blob = await fetch(`${url}/bcache`, { method: 'POST', body: 'other' });
    expect(blob.status).toBe(201);
    const members = membersOf(URLS[0] ?? '', { sha512: digestOf('other') });
    const body = JSON.stringify([JSON.stringify(members), '']);
    const target = `${url}/bdir/${keyOfSoftwareUrl(URLS[0] ?? '')}`;
    expect((await fetch(target, { method: 'PUT', body })).status).toBe(201);
    await expectEnd(0, cacheAs(SERVICE, '022', site, 'verify'));
    await expectEnd(0, cacheAs(0, umask, site, 'verify'));
    await expectEnd(0, cacheAs(SERVICE, '022', site, 'log'));
    await expectEnd(0, cacheAs(SERVICE, '022', site, 'remove', URLS[1] ?? ''));
  });

  it('takes the mode of its folder, for a group too', async () => {
    const { site, archives } = await makeServiceSite();
    const store = await makeStore(site, 0o2770);
    await placeKeyPair(site);
    await expectEnd(0, cacheAs(0, '077', site, 'import', archives));
    for (const name of await readdir(store, { recursive: true })) {
      if (name === 'bcache') continue;
      const stats = await stat(join(store, name));
      const mode = (stats.mode & 0o7777).toString(8);
      expect({ name, mode }).toEqual({
        name,
        mode: stats.isDirectory() ? '2770' : '440',
      });
    }
  });

  it('is theirs when root makes the store in their folder, and by other commands', async () => {
    const site = await makeCopiedSite();
    await expectEnd(0, cacheAs(0, '077', site, 'gc'));
    const medium = join(site, '..', 'medium');
    await mkdir(medium);
    await chown(medium, SERVICE, SERVICE);
    await expectEnd(0, cacheAs(0, '077', site, 'export', medium));
    for (const folder of [join(site, 'store'), join(site, 'copy'), medium])
      for (const name of ['.', ...(await readdir(folder, { recursive: true }))])
        expect({ name, uid: (await stat(join(folder, name))).uid }).toEqual({ name, uid: SERVICE });
    const second = join(site, 'second');
    await expectEnd(0, cacheAs(0, '077', site, 'init', second));
    expect((await stat(join(second, 'store', 'store.json'))).uid).toBe(SERVICE);
  });

  it('is theirs when root removes, repairs, heals, and imports what a slapos proxy has', async () => {
    const site = await makeCopiedSite();
    // As `slapos proxy` keeps them.
    const [content, metadata] = [join(site, '..', 'content'), join(site, '..', 'metadata')];
    await mkdir(metadata);
    await cp(join(site, 'store', 'bcache'), content, { recursive: true });
    for (const key of await readdir(join(site, 'store', 'bdir'))) {
      const [entry = ''] = await readdir(join(site, 'store', 'bdir', key));
      const text = await readFile(join(site, 'store', 'bdir', key, entry), 'utf8');
      await writeFile(join(metadata, key), JSON.stringify([(JSON.parse(text) as { entry: unknown }).entry]));
    }
    await expectEnd(0, cacheAs(0, '077', site, 'remove', URLS[1] ?? ''));
    await expectEnd(0, cacheAs(0, '077', site, 'import', '--from-proxy', content, metadata));
    const damage = async (): Promise<void> => {
      const [blob = ''] = await readdir(join(site, 'store', 'bcache'));
      await chmod(join(site, 'store', 'bcache', blob), 0o644);
      await appendFile(join(site, 'store', 'bcache', blob), 'more');
    };
    await damage();
    await expectEnd(0, cacheAs(0, '077', site, 'verify', '--deep', '--heal-from', 'copy'));
    await damage();
    await expectEnd(1, cacheAs(0, '077', site, 'verify', '--deep', '--repair'));
    for (const name of await readdir(join(site, 'store'), { recursive: true }))
      expect({ name, uid: (await stat(join(site, 'store', name))).uid }).toEqual({ name, uid: SERVICE });
  });

  it.skipIf(lacks('faketime'))('is theirs when root serves, also while the clock is wrong', async () => {
    const { site } = await makeServiceSite();
    await makeStore(site);
    await writeFile(join(site, 'config.ini'), '[store]\npath = store\n[server]\ntls = auto\n');
    const serveOnce = async (user: number, variables: NodeJS.ProcessEnv = {}): Promise<void> => {
      const child = start(user, '077', site, ['serve', '--listen', 'https://127.0.0.1:0'], variables);
      const ended = resultOf(child);
      child.stdout.on('data', (text) => {
        if (String(text).includes('https://127.0.0.1:')) child.kill('SIGTERM');
      });
      await expectEnd(0, ended);
    };
    await serveOnce(0);
    await serveOnce(0, clock('2060-01-01 00:00:00'));
    await serveOnce(SERVICE);
    for (const name of ['server.crt', 'server.crt.replaced', 'server.key'])
      expect({ name, uid: (await stat(join(site, name))).uid }).toEqual({ name, uid: SERVICE });
  });

  it('is named by verify and check where an earlier version wrote it', async () => {
    const { site, archives } = await makeServiceSite();
    const store = await makeStore(site);
    await placeKeyPair(site);
    await expectEnd(0, cacheAs(0, '022', site, 'import', archives));
    const keyFolder = join(store, 'bdir', keyOfSoftwareUrl(URLS[0] ?? ''));
    const [entry = ''] = await readdir(keyFolder);
    execFileSync('chown', ['0:0', keyFolder, join(keyFolder, entry), join(store, 'log')]);
    await chmod(join(keyFolder, entry), 0o400);
    const { stdout, stderr } = await expectEnd(1, cacheAs(0, '022', site, 'verify', '--repair'));
    expect(stdout.match(/^owner-forbidden: \S+: .*/gm)?.sort()).toEqual([
      expect.stringMatching(
        new RegExp(
          `^owner-forbidden: bdir/\\w+/${entry}: it belongs to user 0, group 0, mode 0400: user ${SERVICE}, .* can't read it$`,
        ),
      ),
      expect.stringMatching(/^owner-forbidden: bdir\/\w+: .*can't write it$/),
      expect.stringMatching(/^owner-forbidden: log: .*can't write it$/),
    ]);
    expect(stderr).toContain('chown -R --reference=STORE STORE');
    const options = ['--os', 'ubuntu 22.04 jammy', '--multiarch', 'x86_64-linux-gnu'];
    const checked = await expectEnd(1, cacheAs(0, '022', site, 'check', ...URLS, ...options));
    expect(checked.stdout).toMatch(/NO +.*\n[^]*bdir\/\w+ of the store: it belongs to user 0/);
    execFileSync('chown', ['-R', `--reference=${store}`, store]);
    await expectEnd(0, cacheAs(0, '022', site, 'verify'));
    await expectEnd(0, cacheAs(0, '022', site, 'check', ...URLS, ...options));
  });

  it('is told to be of no use to them where root may give nothing away', async () => {
    const { site, archives } = await makeServiceSite();
    await makeStore(site, 0o700);
    await placeKeyPair(site);
    // As in many containers.
    const args = ['--bounding-set=-chown', '--inh-caps=-chown', ...PROGRAM, 'import', archives];
    const child = spawn('setpriv', args, { cwd: site, env: ENVIRONMENT });
    const { stderr } = await expectEnd(1, resultOf(child));
    expect(stderr.match(/can't read the files written now/g)).toHaveLength(1);
    expect((await expectEnd(1, cacheAs(0, '022', site, 'verify'))).stdout).toMatch(/^owner-forbidden: bdir/m);
  });
});
