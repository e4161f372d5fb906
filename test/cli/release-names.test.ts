import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { addBlob, addRelease } from '../operations/test-store.ts';
import { runCache, type CommandResult } from './command.ts';
import { serveFrom } from './served.ts';
import { makeSite, type Site } from './upkeep-site.ts';

const LAB = 'https://lab.nexedi.com/nexedi/slapos/raw';
const FORK = 'https://git.example.com/group/slapos/raw';
const CDN = `${LAB}/1.0.344/software/rapid-cdn/software.cfg`;
const OLD_CDN = `${LAB}/1.0.340/software/rapid-cdn/software.cfg`;
const KVM = `${LAB}/1.0.344/software/kvm/software.cfg`;
const FORKED_KVM = `${FORK}/1.0.344/software/kvm/software.cfg`;
const ERP5 = `${LAB}/1.0.350/software/erp5/software.cfg`;
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];

const CONFIG = `[software]\nErp5-Stable = ${ERP5}\n[pin]\n`;

let site: Site;

beforeEach(async () => {
  site = await makeSite(CONFIG);
  for (const url of [CDN, OLD_CDN, KVM, FORKED_KVM])
    await addRelease(site, site.signer, { url, content: `archive of ${url}` });
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(site.folder, ...args);

const isThere = async (url: string): Promise<boolean> =>
  (await site.directory.digests(keyOfSoftwareUrl(url))).length > 0;

/** An error, and nothing else. */
function expectError({ code, stdout, stderr }: CommandResult, exitCode: number, message: string): void {
  expect(stderr).toBe(`cache: ${message}\n`);
  expect(stdout).toBe('');
  expect(code).toBe(exitCode);
}

describe('a name means a release of the store', () => {
  it.each([
    ['rapid-cdn@1.0.344', CDN],
    ['1.0.340', OLD_CDN],
    ['1.0.344/software/rapid-cdn', CDN],
    ['git.example.com', FORKED_KVM],
  ])('%s, in lookup', async (name, url) => {
    const { code, stdout, stderr } = await cache('lookup', ...OS, name);
    expect(stderr).toBe(
      `${name} is ${url}\nkey ${keyOfSoftwareUrl(url)}, compared with ubuntu 22.04 x86_64-linux-gnu\n`,
    );
    expect(stdout).toContain(digestOf(`archive of ${url}`));
    expect(code).toBe(0);
    const named = JSON.parse((await cache('lookup', '-q', '--json', ...OS, name)).stdout) as unknown;
    expect(named).toMatchObject({ key: keyOfSoftwareUrl(url) });
  });

  it('in check, also in a list', async () => {
    const list = join(site.folder, 'list.txt');
    await writeFile(list, 'rapid-cdn@1.0.340\n');
    const { code, stdout, stderr } = await cache('check', ...OS, '--file', list, 'rapid-cdn@1.0.344', CDN);
    expect(stderr).toContain(`rapid-cdn@1.0.344 is ${CDN}\n`);
    expect(stderr).toContain(`rapid-cdn@1.0.340 is ${OLD_CDN}\n`);
    expect(stdout.match(/^yes .*$/gm)).toHaveLength(2);
    expect(code).toBe(0);
  });

  it('in export and remove, and in the log of what was removed', async () => {
    await mkdir(join(site.folder, 'medium'));
    const exported = await cache('export', 'medium', 'rapid-cdn@1.0.344', '1.0.340');
    expect(exported.stderr).toContain(`rapid-cdn@1.0.344 is ${CDN}\n1.0.340 is ${OLD_CDN}\n`);
    expect(exported.stderr).toContain('2 exported;');
    const removed = await cache('remove', 'rapid-cdn@1.0.344');
    expect(removed.stderr).toContain(`rapid-cdn@1.0.344 is ${CDN}\n`);
    expect(removed.code).toBe(0);
    expect(await Promise.all([CDN, OLD_CDN, KVM, FORKED_KVM].map(isThere))).toEqual([
      false,
      true,
      true,
      true,
    ]);
    const { stdout, stderr } = await cache('log', '--key', 'rapid-cdn@1.0.344');
    expect(stdout).toMatch(/ export .*\n.* remove /);
    expect(stderr).toBe(`rapid-cdn@1.0.344 is ${CDN}\n2 of 4 records\n`);
    expectError(
      await cache('log', '--key', 'rapid-cdn'),
      2,
      `rapid-cdn names 2 releases; write the URL of one:\n  ${OLD_CDN}\n  ${CDN}`,
    );
  });
});

it('a name of the configuration means its URL', async () => {
  await addRelease(site, site.signer, { url: ERP5, content: 'erp5' });
  for (const name of ['erp5-stable', 'erp5@1.0.350'])
    expect((await cache('lookup', ...OS, name)).stderr).toContain(`${name} is ${ERP5}\n`);
});

describe('URLs and keys stay what they are', () => {
  it('a key that has entries is no name', async () => {
    await addBlob(site.blobs, 'source');
    await site.directory.add(
      parseKey('rapid-cdn@1.0.344'),
      site.signer.sign(JSON.stringify({ sha512: digestOf('source'), basename: 'a.tar' })),
    );
    const { stdout, stderr } = await cache('lookup', 'rapid-cdn@1.0.344');
    expect(stdout).toContain(digestOf('source'));
    expect(stderr).toBe('');
    await cache('remove', 'rapid-cdn@1.0.344');
    expect(await isThere(CDN)).toBe(true);
  });

  it.each([
    [CDN.slice(0, -4)],
    ['://lab.nexedi.com/nexedi/slapos/raw/1.0.340'],
    ['pypi:rapid-cdn=1.0.344'],
    [keyOfSoftwareUrl('unknown')],
    ['rapid-cdn@1.0.34'],
    ['apid-cdn/software.cfg'],
    ['1.0.34'],
    ['/1.0.340/software/rapid-cdn/software.cfg'],
    ['.'],
  ])('%s is no name', async (text) => {
    const { code, stderr } = await cache('lookup', text);
    expect(stderr).toContain(`cache: nothing is known for ${text}`);
    expect(stderr).not.toContain(' is https');
    expect(code).toBe(1);
  });

  it('what resembles a name is suggested', async () => {
    const { stderr } = await cache('lookup', 'rapid-cnd@1.0.344');
    expect(stderr).toBe(
      `cache: nothing is known for rapid-cnd@1.0.344\ncache: did you mean ${CDN} ?\ncache: did you mean ${OLD_CDN} ?\n`,
    );
    expect((await cache('lookup', 'zz')).stderr).toBe('cache: nothing is known for zz; names: cache list\n');
    const { stdout } = await cache('check', 'rapid-cnd@1.0.344');
    expect(stdout).toContain(`did you mean ${CDN} ?`);
    expect(stdout).not.toContain('->');
  });
});

describe('an ambiguous name', () => {
  const KVMS = `kvm@1.0.344 names 2 releases; write the URL of one:\n  ${FORKED_KVM}\n  ${KVM}`;

  it.each([
    ['lookup', ['lookup', 'kvm@1.0.344']],
    ['check', ['check', CDN, 'kvm@1.0.344']],
    ['export', ['export', 'medium', 'kvm@1.0.344']],
    ['remove', ['remove', '-n', CDN, 'kvm@1.0.344']],
  ])('lists the candidates in %s, and nothing is done', async (_command, args) => {
    expectError(await cache(...args), 2, KVMS);
  });

  it('lists ten at the most', async () => {
    for (let number = 1; number <= 10; number++)
      await addRelease(site, site.signer, {
        url: `${LAB}/2.0.${number}/software/rapid-cdn/software.cfg`,
        content: 'cdn',
      });
    const { code, stderr } = await cache('lookup', 'rapid-cdn');
    expect(stderr).toMatch(/^cache: rapid-cdn names 12 releases; write the URL of one:\n/);
    expect(stderr).toMatch(/\n {2}and 2 more\n$/);
    expect(code).toBe(2);
  });
});

describe('remove by a part of a URL', () => {
  it('removes nothing, and names the release', async () => {
    expectError(
      await cache('remove', CDN, '1.0.340'),
      2,
      `1.0.340 is only a part of ${OLD_CDN}; write the whole URL or NAME@VERSION, or add --dry-run to see what would be removed`,
    );
    expect(await isThere(CDN)).toBe(true);
    const dry = await cache('remove', '--dry-run', '1.0.340');
    expect(dry.stdout).toContain(OLD_CDN);
    expect(dry.stderr).toMatch(/^1\.0\.340 is .*\nDry run: 1 entry, 1 blob /);
    expect(await isThere(OLD_CDN)).toBe(true);
  });

  it('a pinned release stays', async () => {
    const pinned = await makeSite(`[pin]\nkeep = ${CDN}\n`);
    await addRelease(pinned, pinned.signer, { url: CDN, content: 'cdn' });
    const { code, stderr } = await runCache(pinned.folder, 'remove', 'rapid-cdn@1.0.344');
    expect(stderr).toContain(`cache: ${CDN} is pinned and stays`);
    expect(code).toBe(1);
  });
});

describe('a name of a running cache', () => {
  it('is found in its list of releases, for lookup, check and fetch', async () => {
    const { url } = await serveFrom(site.folder);
    const other = await makeSite();
    const run = (...args: readonly string[]): Promise<CommandResult> =>
      runCache(other.folder, ...args, '--server', url, ...OS);
    for (const command of ['lookup', 'check', 'fetch']) {
      const { code, stderr } = await run(command, 'rapid-cdn@1.0.344');
      expect(stderr).toContain(`rapid-cdn@1.0.344 is ${CDN}\n`);
      expect(code).toBe(0);
    }
    expect((await other.directory.digests(keyOfSoftwareUrl(CDN))).length).toBe(1);
    // A part may be of several there, although this store has only one.
    expectError(
      await run('fetch', 'rapid-cdn'),
      2,
      `rapid-cdn names 2 releases; write the URL of one:\n  ${OLD_CDN}\n  ${CDN}`,
    );
    expect((await run('fetch', 'rapid-cdn@1.0.999')).stderr).toContain(
      'has nothing under key rapid-cdn@1.0.999',
    );
  });
});
