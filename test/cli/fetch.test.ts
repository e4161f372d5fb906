import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import type { EntryPair } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { startCuttingProxy } from '../http/cutting-proxy.ts';
import { lacks } from '../http/outside-programs.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease, BOOKWORM, makeStore, signRelease } from '../operations/test-store.ts';
import { resultOf, runCache, startCache, type CommandResult } from './command.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const CONTENT = incompressible(1_500_000);
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];

let folder: string;
let signer: Signer;
let stranger: Signer;
let upstream: HttpServer;

beforeAll(async () => {
  signer = await createTestSigner('upstream');
  stranger = await createTestSigner('stranger');
});

beforeEach(async () => {
  folder = await temporaryFolder();
  upstream = await startHttpServer();
  onTestFinished(async () => {
    await upstream.stop();
  });
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);

/** The site's config.ini: with a store, and an upstream of the given URLs. */
async function configure(
  { cacheUrl = `${upstream.url}/bcache`, dirUrl = `${upstream.url}/bdir` } = {},
  more = '',
): Promise<void> {
  const pem = signer.certificate
    .trim()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
  await writeFile(
    join(folder, 'config.ini'),
    `[store]\npath = store\n[upstream]\ndownload-binary-cache-url = ${cacheUrl}\ndownload-binary-dir-url = ${dirUrl}\nsignature-certificate-list =\n${pem}\n${more}`,
  );
  await openStorage(join(folder, 'store'), { write: true });
}

/** What the site has: the files of its blobs, and the pairs of the key, newest first. */
async function stored(): Promise<{ blobs: readonly string[]; pairs: readonly EntryPair[] }> {
  const { directory } = await makeStore(join(folder, 'store'));
  return {
    blobs: await readdir(join(folder, 'store', 'bcache')).catch(() => []),
    pairs: (await directory.entries(KEY)).map(({ pair }) => pair),
  };
}

const NOTHING = { blobs: [], pairs: [] };

describe('fetch', () => {
  it('brings blob and pair of this platform, verbatim, and says what there is', async () => {
    await addRelease(upstream, signer, { content: 'for debian', os: BOOKWORM });
    await addRelease(upstream, stranger, { content: 'of a stranger' });
    const entry = await addRelease(upstream, signer, {
      content: CONTENT,
      more: { creation_date: '2026-02-03' },
    });
    await configure();
    const { code, stdout, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(stdout).toMatch(
      new RegExp(
        `^RESULT +PLATFORM +SIZE +URL\\nfetched +ubuntu 22\\.04 x86_64-linux-gnu +1\\.4 MiB +${RAPID_CDN}\\n$`,
      ),
    );
    expect(stderr).toMatch(/^PLATFORM +VALID\? +MADE +TAKEN\?$/m);
    expect(stderr).toMatch(/^ubuntu 22\.04 x86_64-linux-gnu +yes +2026-02-03 +yes$/m);
    expect(stderr).toMatch(/^debian 12\.4 x86_64-linux-gnu +yes +no: another platform$/m);
    expect(stderr).toMatch(/^ubuntu 22\.04 x86_64-linux-gnu +no +no: no trusted certificate verifies/m);
    expect(stderr).toMatch(/1\.4 MiB to fetch from http:/);
    expect(stderr).toMatch(/nodes need the certificate of the upstream/);
    expect(stderr).toMatch(/^1 fetched$/m);
    expect(code).toBe(0);
    expect(await stored()).toEqual({ blobs: [digestOf(CONTENT)], pairs: [entry.pair] });
    const blob = await readFile(join(folder, 'store', 'bcache', digestOf(CONTENT)));
    expect(createHash('sha512').update(blob).digest('hex')).toBe(digestOf(CONTENT));

    // It counts as trusted here, and nodes are told to trust it.
    expect((await cache('lookup', RAPID_CDN, ...OS)).stdout).toMatch(
      /^ubuntu 22\.04 x86_64-linux-gnu +yes +yes +1\.4 MiB/m,
    );
    expect((await cache('slapos-cfg', '-q', '--url', 'http://cache:5050')).stdout).toContain(
      signer.certificate.trim().split('\n')[1] ?? 'none',
    );
    const log = await cache('log', '--json');
    expect(log.stdout).toContain('"fetch"');

    const requests = upstream.lines.length;
    const again = await cache('fetch', RAPID_CDN, ...OS);
    expect(again.stdout).toMatch(/^unchanged +ubuntu/m);
    expect(again.code).toBe(0);
    // The size of the blob is asked for, and nothing of it read.
    expect(
      upstream.lines.slice(requests).map(({ method, path }) => `${method} ${path.split('/')[1] ?? ''}`),
    ).toEqual(['GET bdir', 'HEAD bcache']);
  });

  it('takes every platform, or only shows what it would take', async () => {
    await addRelease(upstream, signer, { content: 'for debian', os: BOOKWORM });
    await addRelease(upstream, signer, { content: 'for ubuntu' });
    await configure();
    const dry = await cache('fetch', '-n', '--json', '--all-platforms', KEY);
    expect(JSON.parse(dry.stdout)).toMatchObject([
      {
        key: KEY,
        offers: [{ status: 'wanted' }, { status: 'wanted' }],
        results: [
          { status: 'to-fetch', platform: { os: BOOKWORM } },
          { status: 'to-fetch', sha512: digestOf('for ubuntu') },
        ],
      },
    ]);
    expect(dry.code).toBe(0);
    expect(await readdir(join(folder, 'store', 'tmp'))).toEqual([]);
    expect((await stored()).pairs).toEqual([]);
    expect((await cache('fetch', '-q', '--all-platforms', KEY)).stdout.match(/^fetched/gm)).toHaveLength(2);
    expect((await stored()).pairs).toHaveLength(2);
  });

  it('signs what it brings with the key of the site, too, if asked', async () => {
    const theirs = await addRelease(upstream, signer, { content: CONTENT });
    await configure();
    const without = await cache('fetch', '--resign', RAPID_CDN, ...OS);
    expect(without.stderr).toMatch(/there is no .*sign\.key; make it with: cache keygen/);
    expect(without.code).toBe(2);
    await placeKeyPair(folder);
    const { code, stderr } = await cache('fetch', '--resign', RAPID_CDN, ...OS);
    expect(code).toBe(0);
    expect(stderr).toMatch(/1 fetched/);
    expect(stderr).not.toMatch(/--resign|certificate of the upstream/);
    const { pairs } = await stored();
    expect(pairs).toHaveLength(2);
    expect(pairs).toContainEqual(theirs.pair);
    const [json = '', signature = ''] = pairs.find((pair) => pair[1] !== theirs.pair[1]) ?? [];
    expect(json).toBe(theirs.pair[0]);
    await writeFile(join(folder, 'signature'), Buffer.from(signature, 'base64'));
    await writeFile(join(folder, 'json'), json);
    const script = `openssl x509 -in sign.crt -noout -pubkey > pub && openssl sha1 -verify pub -signature signature json`;
    const judge = await resultOf(spawn('sh', ['-c', script], { cwd: folder }));
    expect(judge.stdout.trim()).toBe('Verified OK');
    expect((await cache('fetch', '--resign', RAPID_CDN, ...OS)).stdout).toMatch(/^unchanged/m);
  });

  it('tries each of several, and ends with 1 when one is not to be had', async () => {
    await addRelease(upstream, signer, { content: CONTENT });
    await configure({}, `[software]\nrapid-cdn = ${RAPID_CDN}\n`);
    const wrong = RAPID_CDN.replace('1.0.344', '1.0.345');
    const { code, stdout, stderr } = await cache('fetch', wrong, RAPID_CDN, ...OS);
    expect(stdout).toMatch(/^REFUSED .*345.*\nfetched .*344/m);
    expect(stderr).toMatch(/345.*: http:.* has nothing under key [0-9a-f]{32} or file-urlmd5:[0-9a-f]{32}$/m);
    expect(stderr).toContain(`did you mean ${RAPID_CDN} ?`);
    expect(code).toBe(1);
  });

  it('suggests nothing where the server is down, and never the URL that was asked for', async () => {
    await configure({}, `[software]\nrapid-cdn = ${RAPID_CDN}\n`);
    const down = await cache('fetch', '--server', 'http://127.0.0.1:9', RAPID_CDN.replace('344', '345'));
    expect(down.stderr).not.toMatch(/did you mean/);
    expect(down.code).toBe(3);
    const unknown = await cache('fetch', RAPID_CDN);
    expect(unknown.stderr).toMatch(/has nothing under key/);
    expect(unknown.stderr).not.toMatch(/did you mean/);
    expect(unknown.code).toBe(1);
  });

  it('lists the platforms that there are when none of them fits', async () => {
    await addRelease(upstream, signer, { content: CONTENT, os: BOOKWORM });
    await configure();
    const { code, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(stderr).toMatch(
      /there is nothing for ubuntu 22\.04 x86_64-linux-gnu, only for debian 12\.4 x86_64-linux-gnu; choose with --os/,
    );
    expect(code).toBe(1);
    expect(await stored()).toEqual(NOTHING);
  });

  it('tells what was fetched, and what did not fit, when the disk becomes full', async (context) => {
    await addRelease(upstream, signer, { content: 'small' });
    const large = 'https://example.com/large/software.cfg';
    await addRelease(upstream, signer, { url: large, content: CONTENT });
    await mountTmpfs(context, join(folder, 'store'), 1 << 20);
    await configure({}, '[upload]\nmin-free-space = 0\n');
    const { code, stdout, stderr } = await cache('fetch', '--json', RAPID_CDN, large, ...OS);
    expect(JSON.parse(stdout)).toMatchObject([
      { url: RAPID_CDN, results: [{ status: 'fetched' }] },
      { url: large, results: [] },
    ]);
    expect(stderr).toMatch(/^\{"error":\{"code":"no-space","message":"no room in .*store: needs 1\.5 MiB/m);
    expect(code).toBe(3);
  });

  it('takes up again what broke off', async () => {
    await addRelease(upstream, signer, { content: CONTENT });
    const proxy = await startCuttingProxy(upstream, { bytes: 700_000, times: 1 });
    await configure({ cacheUrl: `${proxy.url}/bcache` });
    const { code } = await cache('fetch', '-q', RAPID_CDN, ...OS);
    expect(code).toBe(0);
    expect(upstream.lines.at(-1)?.status).toBe(206);
    expect((await stored()).blobs).toEqual([digestOf(CONTENT)]);
  });

  it('reads another cache than the upstream', async () => {
    await addRelease(upstream, signer, { content: CONTENT });
    await configure({ cacheUrl: 'http://127.0.0.1:9', dirUrl: 'http://127.0.0.1:9' });
    const refused = await cache('fetch', RAPID_CDN, ...OS);
    expect(refused.stdout).toBe('');
    expect(refused.stderr).toMatch(
      /^cache: http:\/\/127\.0\.0\.1:9\/[0-9a-f]{32}: can't be reached \(ECONNREFUSED\): no server listens there; start it, or correct the URL\n$/,
    );
    expect(refused.code).toBe(3);
    expect((await cache('fetch', '--server', upstream.url, RAPID_CDN, ...OS)).code).toBe(0);
  });

  it('says that it could not fetch, rather than refuse, what the network withholds, and ends with 3', async () => {
    await addRelease(upstream, signer, { content: CONTENT });
    await configure({ cacheUrl: 'http://127.0.0.1:9' });
    const { code, stdout, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(stdout).toMatch(/^NOT FETCHED +ubuntu 22\.04 x86_64-linux-gnu +https:\S+$/m);
    expect(stderr).toMatch(
      /^cache: https:\S+: ubuntu 22\.04 x86_64-linux-gnu: http:\/\/127\.0\.0\.1:9\/[0-9a-f]{128}: can't be reached \(ECONNREFUSED\): no server listens there; start it, or correct the URL$/m,
    );
    expect(stderr).toMatch(/^1 not fetched$/m);
    expect(code).toBe(3);
    expect(await stored()).toEqual(NOTHING);
  });

  it('killed in the middle leaves nothing that counts, and the next one finishes', async () => {
    const entry = signRelease(signer, { content: CONTENT });
    const slow = await startScriptedServer(({ url = '', method }, response) => {
      if (url.startsWith('/bdir/')) response.end(JSON.stringify([entry.pair]));
      else {
        response.writeHead(200, { 'Content-Length': String(CONTENT.length) });
        if (method === 'HEAD') response.end();
        else response.write(CONTENT.subarray(0, 500_000));
      }
    });
    await configure({ cacheUrl: `${slow.url}/bcache`, dirUrl: `${slow.url}/bdir` });
    const child = startCache(folder, ['fetch', RAPID_CDN, ...OS]);
    const ended = resultOf(child);
    const writing = (): Promise<readonly string[]> => readdir(join(folder, 'store', 'tmp')).catch(() => []);
    while ((await writing()).length === 0 && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill('SIGKILL');
    await ended;
    expect(await readdir(join(folder, 'store', 'bcache')).catch(() => [])).toEqual([]);
    await addRelease(upstream, signer, { content: CONTENT });
    const both = await Promise.all(
      [1, 2].map(() => cache('fetch', '--server', upstream.url, RAPID_CDN, ...OS)),
    );
    expect(both.map(({ code }) => code)).toEqual([0, 0]);
    expect((await stored()).blobs).toEqual([digestOf(CONTENT)]);
    expect(await writing()).toEqual([]);
  });
});

describe('a lying upstream', () => {
  /** What the site has after it asked an upstream that answers like this. */
  async function fetchFrom(pair: EntryPair, blob: Uint8Array, headers: Record<string, string> = {}) {
    const lying = await startScriptedServer(({ url = '', method }, response) => {
      if (url.startsWith('/bdir/')) response.end(JSON.stringify([pair]));
      else if (method === 'HEAD') response.writeHead(405).end();
      else response.writeHead(200, headers).end(blob);
    });
    await configure({ cacheUrl: `${lying.url}/bcache`, dirUrl: `${lying.url}/bdir` });
    const { code, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(await stored()).toEqual(NOTHING);
    expect(await readdir(join(folder, 'store', 'tmp'))).toEqual([]);
    expect(code).toBe(1);
    return stderr;
  }

  const good = () => signRelease(signer, { content: CONTENT }).pair;

  it.each([
    ['other bytes', () => Buffer.alloc(CONTENT.length)],
    ['fewer bytes', () => CONTENT.subarray(1)],
    ['more bytes', () => Buffer.concat([CONTENT, Buffer.from('x')])],
    ['no bytes', () => Buffer.alloc(0)],
  ])('that sends %s is refused', async (_what, blob) => {
    expect(await fetchFrom(good(), blob())).toMatch(
      /the bytes have the sha512 [0-9a-f]{128}, not [0-9a-f]{128}/,
    );
  });

  it('that sends an entry of another URL is refused', async () => {
    const { pair } = signRelease(signer, { content: CONTENT, url: 'https://example.com/other' });
    expect(await fetchFrom(pair, CONTENT)).toMatch(/does not belong under key/);
  });

  it('that sends an entry without signature is refused', async () => {
    expect(await fetchFrom([good()[0], ''], CONTENT)).toMatch(/the entry is not signed/);
  });

  it('that sends an entry of a stranger is refused', async () => {
    const { pair } = signRelease(stranger, { content: CONTENT });
    expect(await fetchFrom(pair, CONTENT)).toMatch(/add its certificate to signature-certificate-list/);
  });

  it('does not reach the terminal with what it writes into entries', async () => {
    const more = { multiarch: '\u001b[2J\u009b2J\u0007', software_url: `${RAPID_CDN}\u001b]0;x\u0007` };
    const { pair } = signRelease(stranger, { content: CONTENT, more });
    const stderr = await fetchFrom(pair, CONTENT);
    expect(stderr).toMatch(/\\u001b\[2J\\u009b2J\\u0007/);
    expect(stderr.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  it('that lost the blob is refused', async () => {
    await upstream.directory.add(KEY, signRelease(signer, { content: CONTENT }));
    await configure();
    const { code, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(stderr).toMatch(/has no blob [0-9a-f]{128}/);
    expect(code).toBe(1);
    expect(await stored()).toEqual(NOTHING);
  });
});

describe('an upstream of another kind', () => {
  it.skipIf(lacks('python3'))("is a folder of files behind Python's http.server, too", async () => {
    const { pair, sha512 } = signRelease(signer, { content: CONTENT });
    const served = join(folder, 'served');
    await mkdir(join(served, 'shadir'), { recursive: true });
    await mkdir(join(served, 'shacache'));
    await writeFile(join(served, 'shadir', KEY), JSON.stringify([pair]));
    await writeFile(join(served, 'shacache', sha512), CONTENT);
    const child = spawn('python3', ['-u', '-m', 'http.server', '--bind', '127.0.0.1', '0'], {
      cwd: served,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill());
    const line = await new Promise<string>((resolve) => {
      child.stdout.once('data', (text: Buffer) => {
        resolve(text.toString());
      });
    });
    const base = `http://127.0.0.1:${/port (\d+)/.exec(line)?.[1] ?? ''}`;
    await configure({ cacheUrl: `${base}/shacache/`, dirUrl: `${base}/shadir` });
    expect((await cache('fetch', RAPID_CDN, ...OS)).code).toBe(0);
    expect((await stored()).pairs).toEqual([pair]);
    const sync = await cache('sync', base, 'elsewhere');
    expect(sync.stderr).toMatch(
      /no list of keys, but 404 as text\/html from SimpleHTTP.*; .* use cache fetch with URLs: other caches list no keys$/m,
    );
    expect(sync.code).toBe(1);
  });

  it('is another instance with tls = auto and users', async () => {
    const at = await temporaryFolder();
    // {SHA} of "s3cret".
    const hash = createHash('sha1').update('s3cret').digest('base64');
    await writeFile(join(at, 'htpasswd'), `alice:{SHA}${hash}\n`);
    const serve = await ServeProcess.start({
      folder: at,
      listen: 'https://127.0.0.1:0',
      config: `[server]\ntls = auto\n[access]\nanonymous = none\nhtpasswd-file = htpasswd\n`,
      prepare: async (root) => addRelease(await makeStore(root), signer, { content: CONTENT }),
    });
    const base = `https://alice:s3cret@127.0.0.1:${await serve.port()}`;
    const urls = { cacheUrl: `${base}/bcache`, dirUrl: `${base}/bdir` };
    await configure(urls);
    const unknown = await cache('fetch', RAPID_CDN, ...OS);
    expect(unknown.stderr).toMatch(/is self-signed and unknown; .* with --ca FILE or \[upstream\] ca-file/);
    expect(unknown.code).toBe(3);
    await addRelease(await makeStore(join(folder, 'filled')), signer, { content: CONTENT });
    const refused = await cache('sync', 'filled', base);
    expect(refused.stderr).toMatch(/^cache: can't copy to https:.*is self-signed and unknown/);
    expect([refused.code, refused.stdout]).toEqual([3, '']);
    const ca = join(at, 'server.crt');
    const asked = await cache('lookup', RAPID_CDN, '--server', base, '--ca', ca);
    expect(asked.stdout).toContain(digestOf(CONTENT));
    const nameless = await cache(
      'lookup',
      RAPID_CDN,
      '--server',
      base.replace('alice:s3cret@', ''),
      '--ca',
      ca,
    );
    expect(nameless.stderr).toMatch(
      /answered 401 Unauthorized: a user name and password are required; write them/,
    );
    expect(nameless.code).toBe(1);
    await configure(urls, '').then(async () => {
      const file = join(folder, 'config.ini');
      await writeFile(file, `${await readFile(file, 'utf8')}ca-file = ${ca}\n`);
    });
    const { code, stdout, stderr } = await cache('fetch', RAPID_CDN, ...OS);
    expect(code).toBe(0);
    expect(stdout + stderr + (await cache('log', '--json')).stdout).not.toContain('s3cret');
    expect((await stored()).blobs).toEqual([digestOf(CONTENT)]);
    const copied = await cache('sync', base, 'elsewhere', '--ca', ca);
    expect(copied.stdout).toMatch(/^copied +ubuntu 22\.04/m);
    expect(copied.code).toBe(0);
  });
});

describe('wrong usage ends with 2', () => {
  it('without an upstream, and shows what one looks like', async () => {
    const { code, stderr } = await cache('fetch', RAPID_CDN);
    expect(stderr).toMatch(/there is no \[upstream\] to fetch from/);
    expect(stderr).toMatch(/^download-binary-dir-url = http:\/\/shadir\.nxdcdn\.com$/m);
    expect(code).toBe(2);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([
    [['--all-platforms', '--os', 'debian-12'], /--all-platforms takes every platform; leave out --os/],
    [['--server', 'cache:5050'], /--server: not an HTTP URL: "cache:5050"/],
    [['--server', 'ftp://u:secret@h'], /--server: not an HTTP URL: "ftp:\/\/…@h"/],
    [['--server', 'https://127.0.0.1:9', '--ca', 'none.crt'], /--ca: there is no file none\.crt/],
    [['--server', 'https://127.0.0.1:9', '--ca', 'config.ini'], /--ca: config\.ini: not a PEM certificate/],
  ])('%j', async (args, message) => {
    await configure();
    const { code, stderr } = await cache('fetch', RAPID_CDN, ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect((await readdir(folder)).sort()).toEqual(['config.ini', 'store']);
  });
});
