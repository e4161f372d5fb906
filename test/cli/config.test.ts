import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makePairByOpenssl } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { initSite, resultOf, runCache, startCache } from './command.ts';

const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

let folder: string;
const cache = (...args: readonly string[]) => runCache(folder, ...args);

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe('a command on the store', () => {
  it('says which store it uses if there is no config.ini, unless with -q', async () => {
    const archive = join(folder, 'kvm-1.0.344-ubuntu-22.04.tar.gz');
    await packRelease(await makeSoftwareRelease(join(folder, 'root'), URL), archive);
    const word = `using ./cache-store: no config.ini found in ${folder}`;
    for (const args of [['import', archive], ['list'], ['log'], ['verify'], ['check', URL], ['gc', '-n']]) {
      const { stderr } = await cache(...args);
      expect(stderr.split('\n').filter((line) => line.includes('no config.ini'))).toEqual([word]);
      expect(stderr.split('\n')[0]).toBe(word);
      expect((await cache(...args, '-q')).stderr).not.toContain('no config.ini');
    }
  });

  it('says nothing of it before a wrong option', async () => {
    expect((await cache('import', '--os', 'linux', folder)).stderr).toMatch(/^cache: --os: not an operating/);
  });

  it('says nothing of it where a configuration is found, or another cache is asked', async () => {
    await initSite(folder, '.', '-q');
    expect((await cache('list')).stderr).not.toContain('using');
    const nowhere = await temporaryFolder();
    const asked = await runCache(nowhere, 'lookup', URL, '--server', 'http://127.0.0.1:9');
    expect(asked.stderr).not.toContain('using');
  });

  it('is not told of it twice by serve', async () => {
    const serve = startCache(folder, ['serve', '--listen', '127.0.0.1:0']);
    let stderr = '';
    serve.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    await expect.poll(() => stderr, { timeout: 20_000 }).toMatch(/To fill it: .*\n/);
    expect(stderr.match(/no config\.ini found/g)).toHaveLength(1);
    expect(stderr).toContain(
      `cache: the store ${join(folder, 'cache-store')} is empty; no config.ini found in ${folder}. `,
    );
  });
});

describe('cache config', () => {
  const rowsOf = (stdout: string): readonly string[] =>
    stdout.split('\n').map((line) => line.replace(/ {2,}/g, ' | '));

  it('shows the defaults, and last where it searched', async () => {
    const { code, stdout, stderr } = await cache('config');
    expect([code, stderr]).toEqual([0, '\nNo config.ini found: the defaults apply.\n']);
    const rows = rowsOf(stdout);
    const searched = rows.indexOf('SEARCHED | STATE | FILE');
    expect(rows.slice(searched, searched + 4)).toEqual([
      'SEARCHED | STATE | FILE',
      '-c | not given',
      '$SHACACHE_CONFIG | not given',
      `./config.ini | missing | ${join(folder, 'config.ini')}`,
    ]);
    expect(rows).toContain(`[store] path | default | ${join(folder, 'cache-store')}`);
    expect(rows).toContain('[upload] max-blob-size | default | 20 GiB');
    expect(rows).toContain('[server] tls | default | off');
    expect(await contentsOf(folder)).toEqual(await contentsOf(await temporaryFolder()));
  });

  it('shows each value with its origin, behind a link, and no secret', async () => {
    const { certificateFile } = await makePairByOpenssl(folder, 'other');
    await initSite(folder, 'site', '-q', '--trust', certificateFile);
    const file = join(folder, 'link.ini');
    await symlink('site/config.ini', file);
    await writeFile(
      join(folder, 'site/config.ini'),
      '[store]\npath = store\n[upload]\nmax-blob-size = 5G\n[pin]\nX = https://me:SECRET@h/x.cfg\n[upstream]\n' +
        'download-binary-cache-url = http://me:SECRET@h/c\ndownload-binary-dir-url = http://me:SECRET@h/d\n',
    );
    const variables = { SHACACHE_CONFIG: file, HTTPS_PROXY: 'me:SECRET@proxy:3128', https_proxy: '' };
    const run = (...args: readonly string[]) => resultOf(startCache(folder, args, { variables }));
    const { code, stdout, stderr } = await run('config');
    expect(code).toBe(0);
    const rows = rowsOf(stdout);
    const origins = rows.slice(1, rows.indexOf('')).map((row) => row.split(' | ')[1]);
    expect(origins.lastIndexOf('default')).toBeLessThan(origins.indexOf('line 2'));
    for (const row of [
      '-c | not given',
      `$SHACACHE_CONFIG | used | ${file}`,
      `[store] path | line 2 | ${join(folder, 'site/store')}`,
      '[upload] max-blob-size | line 4 | 5G',
      '[pin] X | line 6 | https://…@h/x.cfg',
      '[upstream] download-binary-cache-url | line 8 | http://…@h/c',
      '$HTTPS_PROXY | environment | …@proxy:3128',
    ])
      expect(rows).toContain(row);
    expect(stderr).toBe(`\nRelative paths begin in ${join(folder, 'site')}, where ${file} leads.\n`);
    const json = await run('config', '--json');
    expect(stdout + json.stdout).not.toContain('SECRET');
    const { values, ...rest } = JSON.parse(json.stdout) as { values: { key: string }[] };
    expect(rest).toMatchObject({ file, folder: join(folder, 'site') });
    expect(values.find(({ key }) => key === 'max-blob-size')).toEqual({
      ...{ section: 'upload', key: 'max-blob-size', value: 5 * 1024 ** 3, text: '5G', line: 4, from: 'file' },
    });
    expect(values.find(({ key }) => key === 'tls-key')).toMatchObject({ value: null, line: null });
  });

  it('shows where it searched before it refuses a file', async () => {
    await writeFile(join(folder, 'config.ini'), 'path = x\n');
    const { code, stdout, stderr } = await cache('config');
    expect(stdout).toMatch(/^\.\/config\.ini +used /m);
    expect([code, stderr]).toEqual([
      2,
      `cache: ${join(folder, 'config.ini')}:1: "path = x" is before the first section; write a [section] line above it\n`,
    ]);
  });
});

describe('cache config check', () => {
  const at = (name: string): string => join(folder, name);

  it('finds no fault in what init makes, and writes nothing', async () => {
    await cache('init', '-q', 'site');
    const before = await contentsOf(folder);
    const good = { code: 0, stdout: '', stderr: `${at('site/config.ini')}: no fault found\n` };
    expect(await cache('config', 'check', 'site/config.ini')).toEqual(good);
    expect(await cache('config', 'check', '-c', 'site/config.ini')).toEqual(good);
    expect(await cache('config', '-c', 'site/config.ini', 'check')).toEqual(good);
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('names every fault of the file in its order', async () => {
    await writeFile(
      at('bad.ini'),
      '[store]\nfoo = 1\npath = ~/x\n[servr]\n[access]\nanonymous = maybe\nhtpasswd-file = users\n',
    );
    const { code, stdout, stderr } = await cache('config', 'check', 'bad.ini');
    expect([code, stderr]).toEqual([2, `${at('bad.ini')}: 4 faults\n`]);
    expect(stdout.trim().split('\n')).toEqual([
      `${at('bad.ini')}:2: [store] foo: unknown key; known are path, url, endpoint, region, path-style, access-key-id, secret-access-key, local-cache, local-cache-size, scrub-interval`,
      `${at('bad.ini')}:3: [store] path: "~" and "$" are not expanded: "~/x"; write the path in full, relative to the configuration file or from /`,
      `${at('bad.ini')}:4: unknown section [servr]; did you mean [server]?`,
      `${at('bad.ini')}:6: [access] anonymous: not a known word: "maybe"; write none, read or upload`,
    ]);
  });

  it('names every fault of the files that it names', async () => {
    await makePairByOpenssl(folder, 'sign');
    const other = await makePairByOpenssl(folder, 'other');
    await writeFile(at('sign.key'), other.privateKey);
    await writeFile(at('users'), 'alice\n');
    await writeFile(at('ca.pem'), 'none');
    await mkdir(at('tls.key'));
    const list = '-----BEGIN CERTIFICATE-----\n  AAAA\n  -----END CERTIFICATE-----\n';
    await writeFile(
      at('c.ini'),
      `[signature]\nsignature-certificate-list =\n  ${list}[server]\ntls-certificate = none.crt\ntls-key = tls.key\n` +
        '[access]\nhtpasswd-file = users\n[upstream]\ndownload-binary-cache-url = http://h/c\n' +
        'download-binary-dir-url = http://h/d\nca-file = ca.pem\n',
    );
    const { code, stdout } = await cache('config', 'check', 'c.ini', '--json');
    expect(code).toBe(2);
    const { file, faults } = JSON.parse(stdout) as { file: string; faults: readonly string[] };
    expect(file).toBe(at('c.ini'));
    const shown = [
      `${at('c.ini')}: [server] tls-certificate: there is no file ${at('none.crt')}; correct the path`,
      `${at('c.ini')}: [server] tls-key: ${at('tls.key')} is a folder; correct the path`,
      `there is no store at ${at('cache-store')}; is its disk mounted? To make one: cache init -c ${at('c.ini')}`,
      expect.stringMatching(/sign\.key.*sign\.crt do(?:es)? not match/),
      `${at('c.ini')}: [signature] signature-certificate-list, certificate 1: not a PEM certificate`,
      `${at('users')}:1: not NAME:HASH; add users with htpasswd -B`,
      `[upstream] ca-file: ${at('ca.pem')}: not a PEM certificate`,
    ];
    expect(faults).toEqual(shown);
  });

  it('refuses a key outside the folder where nobody named the file, as other commands do', async () => {
    await writeFile(at('config.ini'), '[signature]\nprivate-key-file = /root/sign.key\n[store]\npath = s\n');
    const { code, stdout } = await cache('config', 'check');
    expect(code).toBe(2);
    expect(stdout).toMatch(
      /\[signature\] private-key-file = .* is outside the current folder, [^]*there is no store at /,
    );
    expect((await cache('config', 'check', 'config.ini')).stdout).not.toContain('outside');
    expect((await cache('config', 'check', 'x', '-c', 'y')).code).toBe(2);
  });
});
