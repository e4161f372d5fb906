import { execFile } from 'node:child_process';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { readMachine } from '../../src/operations/this-machine.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { slaposCfg } from '../fixtures/slapos-cfg.ts';
import { lacks } from '../http/outside-programs.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { addRelease } from '../operations/test-store.ts';
import { resultOf, startCache, type CommandResult } from './command.ts';
import { makeSite, urlOf, type Site } from './upkeep-site.ts';

const JUDGE = join(import.meta.dirname, '../judges/slapos_node.py');
const MASTER_BRANCH = 'https://lab.nexedi.com/nexedi/slapos/raw/master/software/kvm/software.cfg';
/** The variables that decide which authorities a Python trusts; the machine of the test may have them. */
const NO_TRUST = { SSL_CERT_FILE: undefined, SSL_CERT_DIR: undefined, NODE_EXTRA_CA_CERTS: undefined };

interface Report {
  readonly notes: readonly string[];
  readonly releases: readonly {
    readonly url: string;
    readonly status: string;
    readonly reason?: string;
    readonly fixes: readonly string[];
    readonly node?: { readonly asks: boolean; readonly outcome: string; readonly text: string };
  }[];
}

let site: Site;
let file: string;

beforeEach(async () => {
  site = await makeSite();
  file = join(site.folder, 'slapos.cfg');
  const { os, multiarch } = await readMachine();
  for (const url of [urlOf(1), MASTER_BRANCH])
    await addRelease(site, site.signer, { url, content: url, os, more: { multiarch } });
  await writeFile(file, await slaposCfg({ softwareRoot: join(site.folder, 'slapgrid') }));
});

const cache = (args: readonly string[], variables: NodeJS.ProcessEnv = NO_TRUST): Promise<CommandResult> =>
  resultOf(startCache(site.folder, args, { variables }));

async function reportOf(args: readonly string[], variables: NodeJS.ProcessEnv = NO_TRUST): Promise<Report> {
  const { stdout, stderr } = await cache(['check', '--json', ...args], variables);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}

/** What a node does, by the judge. */
async function judge(urls: readonly string[], variables: NodeJS.ProcessEnv = NO_TRUST): Promise<unknown> {
  const { os } = await readMachine();
  const env = { ...process.env, PATH: '/usr/bin:/bin', ...variables, NODE_OS: os.join(',') };
  const { stdout } = await promisify(execFile)('/usr/bin/env', ['python3', JUDGE, file, ...urls], { env });
  return JSON.parse(stdout);
}

const plansOf = ({ releases }: Report): unknown =>
  releases.map(({ node }) => node && { asks: node.asks, outcome: node.outcome });

async function serve(listen: string, config = ''): Promise<string> {
  const own = await readFile(join(site.folder, 'config.ini'), 'utf8');
  const serving = await ServeProcess.start({
    folder: site.folder,
    listen,
    config: `${own.replace(/^\[store\]\npath = store\n/, '')}${config}`,
  });
  return (await serving.urls())[0] ?? '';
}

const into = async (url: string, ...args: readonly string[]): Promise<void> => {
  const { code, stderr } = await cache(['slapos-cfg', '--url', url, '--into', file, ...args]);
  if (code !== 0) throw new Error(stderr);
};

describe.skipIf(lacks('python3', 'openssl', 'gcc'))('check --slapos-cfg', () => {
  it('says what that node does with each URL', async () => {
    await into(await serve('127.0.0.1:0'));
    const urls = [urlOf(1), urlOf(2), MASTER_BRANCH, '/srv/local/software.cfg'];
    const report = await reportOf([...urls, '--slapos-cfg', file]);
    expect(plansOf(report)).toEqual(await judge(urls));
    expect(plansOf(report)).toEqual([
      { asks: true, outcome: 'downloads' },
      { asks: true, outcome: 'compiles' },
      { asks: false, outcome: 'compiles' },
      { asks: false, outcome: 'compiles' },
    ]);
    const { code, stdout } = await cache(['check', ...urls, '--slapos-cfg', file]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/the node downloads it from http:\/\/127\.0\.0\.1:\d+\/bcache$/m);
    expect(stdout).toMatch(
      /slapos\.cfg has https:.*\/raw\/master in download-from-binary-cache-url-blacklist$/m,
    );
    expect((await cache(['check', urlOf(1), '--slapos-cfg', file])).code).toBe(0);
  });

  it('knows the force list: such a release is never compiled', async () => {
    await into(await serve('127.0.0.1:0'));
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace(
        '[collect]',
        'download-from-binary-cache-force-url-list =\n  https://lab.nexedi.com/nexedi/slapos/raw/1.0.\n  https://lab.nexedi.com/nexedi/slapos/raw/master\n[collect]',
      ),
    );
    const urls = [urlOf(1), urlOf(2), MASTER_BRANCH];
    const report = await reportOf([...urls, '--slapos-cfg', file]);
    expect(plansOf(report)).toEqual(await judge(urls));
    expect(report.releases.map(({ node }) => node?.outcome)).toEqual(['downloads', 'retries', 'retries']);
    expect(report.releases[1]?.node?.text).toMatch(
      /^the node finds no build, fails and retries, because .*raw\/1\.0\./,
    );
  });

  it('trusts the certificates of the file, not those of the site', async () => {
    const url = await serve('127.0.0.1:0');
    const others = await readFile(file, 'utf8');
    await writeFile(
      file,
      others
        .replaceAll(/= http:.*example\.com$/gm, '= X')
        .replaceAll('cache-url = X', `cache-url = ${url}/bcache`)
        .replaceAll('dir-url = X', `dir-url = ${url}/bdir`),
    );
    const report = await reportOf([urlOf(1), '--slapos-cfg', file]);
    expect(report.releases[0]?.status).toBe('untrusted');
    expect(plansOf(report)).toEqual(await judge([urlOf(1)]));
  });

  it('names a certificate that nodes ignore', async () => {
    await into(await serve('127.0.0.1:0'));
    const text = await readFile(file, 'utf8');
    await writeFile(
      file,
      text.replace(
        /-----BEGIN/,
        '-----BEGIN CERTIFICATE-----\n  AAAA\n  -----END CERTIFICATE-----\n  -----BEGIN',
      ),
    );
    const { notes, releases } = await reportOf([urlOf(1), '--slapos-cfg', file]);
    expect(notes).toEqual([expect.stringContaining('nodes ignore certificate 1 of') as string]);
    expect(releases[0]?.status).toBe('installable');
  });

  it('says that a node without gcc never downloads', async () => {
    await into(await serve('127.0.0.1:0'));
    const variables = { ...NO_TRUST, PATH: site.folder };
    const { releases } = await reportOf([urlOf(1), '--slapos-cfg', file], variables);
    expect(releases[0]).toMatchObject({
      status: 'no-gcc',
      fixes: ['install gcc on the node'],
      node: { asks: false, outcome: 'compiles' },
    });
    const { os, multiarch } = await readMachine();
    const named = ['--os', os.join(','), '--multiarch', multiarch];
    expect((await reportOf([urlOf(1), '--slapos-cfg', file, ...named], variables)).releases[0]).toMatchObject(
      {
        status: 'installable',
      },
    );
  });

  it('sees an unfinished build in the way', async () => {
    await into(await serve('127.0.0.1:0'));
    const folder = join(site.folder, 'slapgrid', keyOfSoftwareUrl(urlOf(1)));
    await mkdir(folder, { recursive: true });
    const report = await reportOf([urlOf(1), '--slapos-cfg', file]);
    expect(plansOf(report)).toEqual(await judge([urlOf(1)]));
    expect(report.releases[0]).toMatchObject({
      status: 'folder-left',
      reason: `an unfinished build is in ${folder}; the node asks only without it`,
    });
    await writeFile(join(folder, '.completed'), '');
    expect((await reportOf([urlOf(1), '--slapos-cfg', file])).releases[0]?.status).toBe('installable');
  });

  it.each([
    ['[slapos]\nsoftware_root = /x\n', 'no-cache-url'],
    ['[slapos]\nsoftware_root = /x\n[networkcache]\ndownload-binary-cache-url = http://h\n', 'no-cache-url'],
  ])('knows that a node without URLs asks nobody: %j', async (text, kind) => {
    await writeFile(file, text);
    const report = await reportOf([urlOf(1), '--slapos-cfg', file]);
    expect(report.releases[0]?.status).toBe(kind);
    expect(plansOf(report)).toEqual(await judge([urlOf(1)]));
  });

  it.each([
    ['[slapos]\n[networkcache]\n[networkcache]\n', /slapos\.cfg:3: section \[networkcache\] is repeated/],
    ['[networkcache]\n', /slapos\.cfg: no \[slapos\] section; slapos stops without it/],
    ['[slapos]\nx = 100%\n', /slapos\.cfg:2: x: has a single "%"/],
    [
      '[slapos]\n[networkcache]\nshadir-ca-file = /none.crt\n',
      /shadir-ca-file: \/none\.crt not found, and slapos stops/,
    ],
    ['[slapos]\n[networkcache]\ndownload-binary-dir-url = h\n', /download-binary-dir-url: not an HTTP URL/],
  ])('ends with 2 where slapos stops: %j', async (text, message) => {
    await writeFile(file, text);
    const { code, stdout, stderr } = await cache(['check', urlOf(1), '--slapos-cfg', file]);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('names keys without which other programs fail', async () => {
    await into(await serve('127.0.0.1:0'));
    await writeFile(file, (await readFile(file, 'utf8')).replace(/^download-(?:cache|dir)-url.*\n/gm, ''));
    expect((await reportOf([urlOf(1), '--slapos-cfg', file])).notes).toEqual(
      ['download-cache-url', 'download-dir-url'].map(
        (key) => expect.stringContaining(`no ${key}: `) as string,
      ),
    );
  });

  it('refuses --server beside it', async () => {
    const { code, stderr } = await cache(['check', urlOf(1), '--slapos-cfg', file, '--server', 'http://h:1']);
    expect(stderr).toContain('--slapos-cfg and --server name two caches; leave out one of them');
    expect(code).toBe(2);
  });
});

describe.skipIf(lacks('python3', 'openssl', 'gcc'))('over TLS, without a CA handed in', () => {
  it('a node compiles, whatever shacache-ca-file says, and check says so', async () => {
    const url = await serve('https://127.0.0.1:0', '[server]\ntls = auto\n');
    const certificate = join(site.folder, 'server.crt');
    await into(url);
    await writeFile(
      file,
      (await readFile(file, 'utf8')).replace(
        '[networkcache]\n',
        `[networkcache]\nshacache-ca-file = ${certificate}\nshadir-ca-file = ${certificate}\n`,
      ),
    );
    const expected = [{ asks: true, outcome: 'compiles' }];
    expect(await judge([urlOf(1)])).toEqual(expected);
    const report = await reportOf([urlOf(1), '--slapos-cfg', file]);
    expect(plansOf(report)).toEqual(expected);
    expect(report.releases[0]).toMatchObject({
      status: 'tls-refused',
      reason: expect.stringMatching(
        /^a Python of this machine \(SSL_CERT_FILE is not set\) refuses the TLS certificate of https:\/\/127\.0\.0\.1:\d+: self-signed certificate$/,
      ) as string,
      fixes: [
        expect.stringContaining('set SSL_CERT_FILE') as string,
        expect.stringContaining('http://') as string,
      ],
    });
    const { code, stdout } = await cache(['check', urlOf(1), '--server', url, '--ca', certificate]);
    expect(stdout).toContain('refuses the TLS certificate');
    expect(code).toBe(1);
  });

  it('a node whose SSL_CERT_FILE has the certificate downloads, and check says so', async () => {
    const url = await serve('https://127.0.0.1:0', '[server]\ntls = auto\n');
    await into(url);
    const trusted = { ...NO_TRUST, SSL_CERT_FILE: join(site.folder, 'server.crt') };
    const expected = [{ asks: true, outcome: 'downloads' }];
    expect(await judge([urlOf(1)], trusted)).toEqual(expected);
    expect(plansOf(await reportOf([urlOf(1), '--slapos-cfg', file], trusted))).toEqual(expected);
    const { notes, releases } = await reportOf([urlOf(1), '--server', url], trusted);
    expect(releases[0]?.status).toBe('installable');
    expect(notes).toEqual([expect.stringMatching(/SSL_CERT_FILE is .*server\.crt\) accepts/) as string]);
  });

  it('the hashed files of SSL_CERT_DIR count, and other names in it do not', async () => {
    const ca = await createAuthority(site.folder, 'site-ca');
    const pair = await ca.issue('tls', { alternativeNames: 'IP:127.0.0.1' });
    const url = await serve(
      'https://127.0.0.1:0',
      `[server]\ntls-certificate = ${pair.certificateFile}\ntls-key = ${pair.keyFile}\n`,
    );
    await into(url);
    const folder = join(site.folder, 'certs');
    await mkdir(folder);
    await copyFile(ca.certificateFile, join(folder, 'ca.pem'));
    const variables = { ...NO_TRUST, SSL_CERT_DIR: folder };
    const ask = async (): Promise<readonly unknown[]> => [
      await judge([urlOf(1)], variables),
      plansOf(await reportOf([urlOf(1), '--slapos-cfg', file], variables)),
    ];
    const compiles = [{ asks: true, outcome: 'compiles' }];
    expect(await ask()).toEqual([compiles, compiles]);
    await promisify(execFile)('openssl', ['rehash', folder]);
    const downloads = [{ asks: true, outcome: 'downloads' }];
    expect(await ask()).toEqual([downloads, downloads]);
  });

  it('says nothing of the certificate of a server that is not there', async () => {
    const { notes, releases } = await reportOf([urlOf(1), '--server', 'https://127.0.0.1:9']);
    expect([notes, releases[0]?.status]).toEqual([[], 'unavailable']);
  });

  it('says of other machines what they need', async () => {
    const url = await serve('https://127.0.0.1:0', '[server]\ntls = auto\n');
    const args = [urlOf(1), '--server', url, '--ca', join(site.folder, 'server.crt'), '--os', 'ubuntu-22.04'];
    expect((await reportOf(args)).notes).toEqual([
      `nodes download from ${url} only if their Python trusts the TLS certificate`,
    ]);
  });
});

describe('check on a machine without gcc', () => {
  it('says that such a node never downloads, unless options name another', async () => {
    const variables = { ...NO_TRUST, PATH: site.folder };
    const note = expect.stringMatching(/^this machine has no gcc: .*never downloads/) as string;
    expect((await reportOf([urlOf(1)], variables)).notes).toEqual([note]);
    expect((await reportOf([urlOf(1), '--os', 'ubuntu-22.04'], variables)).notes).toEqual([]);
    expect((await cache(['check', urlOf(1)], variables)).stdout).toMatch(/^note: this machine has no gcc/m);
  });
});
