import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { startNginx } from '../fixtures/nginx.ts';
import { digestOf } from '../../src/cache/digest.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease, keyOf, signRelease, trusting } from '../operations/test-store.ts';
import { runCache, type CommandResult } from './command.ts';

const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];
const CONTENT = 'content of an archive';
const KEY = keyOf();

let folder: string;
let signer: Signer;

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);

/** A config.ini with the signer's certificate and a store. @param upstream URLs of blobs and directory */
async function configure(upstream?: readonly [cache: string, dir: string]): Promise<void> {
  const list = signer.certificate
    .trim()
    .split('\n')
    .map((line) => `\n  ${line}`)
    .join('');
  const section =
    upstream === undefined
      ? '[signature]'
      : `[upstream]\ndownload-binary-cache-url = ${upstream[0]}\ndownload-binary-dir-url = ${upstream[1]}`;
  await writeFile(
    join(folder, 'config.ini'),
    `[store]\npath = store\n${section}\nsignature-certificate-list =${list}\n`,
  );
  await cache('init', '-c', 'config.ini');
}

async function startServer(): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({ ...usual, access: { anonymous: 'upload' }, trusted: trusting(signer) }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** A cache with blobs and directory at paths of their own, one release, and no list of keys. */
async function startPeer(): Promise<{ cacheUrl: string; dirUrl: string; paths: () => readonly string[] }> {
  const { pair, sha512 } = signRelease(signer, { content: CONTENT });
  const { url, requests } = await startScriptedServer(({ method, url: path = '' }, response) => {
    const allow = { Allow: path.startsWith('/shacache/') ? 'HEAD, OPTIONS, GET, PUT' : 'GET' };
    if (method === 'OPTIONS') response.writeHead(200, allow).end();
    else if (path === `/shacache/dir/${KEY}`) response.end(JSON.stringify([pair]));
    else if (path === `/shacache/cache/${sha512}`)
      response.writeHead(200, { 'Content-Length': CONTENT.length }).end(method === 'HEAD' ? '' : CONTENT);
    else response.writeHead(404, { 'Content-Type': 'text/html; charset=utf-8', Server: 'Peer/1' }).end(PAGE);
  });
  return {
    ...{ cacheUrl: `${url}/shacache/cache`, dirUrl: `${url}/shacache/dir` },
    paths: () => requests.map(({ method = '', url: path = '' }) => `${method} ${path}`),
  };
}

const PAGE = '<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n';

beforeAll(async () => {
  signer = await createTestSigner('peer');
});

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe('a cache of two URLs', () => {
  it('is asked by lookup, check and fetch', async () => {
    await configure();
    const { cacheUrl, dirUrl } = await startPeer();
    // With a slash at their end, too.
    const server = ['--server', `${cacheUrl}/`, '--server-dir', dirUrl, ...OS];
    const lookup = await cache('lookup', RAPID_CDN, ...server);
    expect(lookup).toMatchObject({ code: 0, stdout: expect.stringContaining(digestOf(CONTENT)) as string });
    expect(await cache('check', RAPID_CDN, '--deep', ...server)).toMatchObject({ code: 0 });
    expect(await cache('fetch', RAPID_CDN, ...server)).toMatchObject({ code: 0 });
    expect(await cache('check', RAPID_CDN, '--deep', ...OS)).toMatchObject({ code: 0 });
  });

  it('is that of [upstream], by its name', async () => {
    const { cacheUrl, dirUrl } = await startPeer();
    await configure([cacheUrl, dirUrl]);
    expect(await cache('lookup', RAPID_CDN, '--server', 'upstream', ...OS)).toMatchObject({ code: 0 });
    expect(await cache('check', RAPID_CDN, '--server', 'upstream', ...OS)).toMatchObject({ code: 0 });
    expect(await cache('fetch', RAPID_CDN, '--server', 'upstream', ...OS)).toMatchObject({ code: 0 });
    await writeFile(join(folder, 'store', 'bcache', digestOf(CONTENT)), 'bad');
    const healed = await cache('verify', '--deep', '--heal-from', 'upstream');
    expect(healed, healed.stderr).toMatchObject({ code: 0 });
  });

  it('is a source and a target of sync', async () => {
    await configure();
    const [from, to] = [await startServer(), await startServer()];
    await addRelease(from, signer, { content: CONTENT });
    const up = await cache(
      ...['sync', `${from.url}/shacache`, `${to.url}/shacache/cache`],
      ...['--from-dir', `${from.url}/shadir`, '--to-dir', `${to.url}/shacache/dir`],
    );
    expect(up, up.stderr).toMatchObject({ code: 0 });
    expect(await to.directory.entries(KEY)).toHaveLength(1);
    expect(await to.blobs.stat(digestOf(CONTENT))).toBeDefined();
    const down = await cache('sync', `${to.url}/shacache`, 'elsewhere', '--from-dir', `${to.url}/shadir`);
    expect(down, down.stderr).toMatchObject({ code: 0 });
    const paths = to.lines.map(({ path }) => path);
    expect(paths.filter((path) => /^\/b(cache|dir)/.test(path))).toEqual([]);
  });

  it.each([
    [['lookup', RAPID_CDN, '--server-dir', 'http://h/dir'], /--server-dir: .* also give --server URL/],
    [['lookup', RAPID_CDN, '--server', 'http://h', '--server-dir', 'h/dir'], /--server-dir: not an HTTP URL/],
    [['check', RAPID_CDN, '--server', 'h', '--server-dir', 'http://h/dir'], /--server: not an HTTP URL/],
    [['fetch', RAPID_CDN, '--server', 'upstream'], /there is no \[upstream\] to fetch from/],
    [
      ['fetch', RAPID_CDN, '--server', 'upstream', '--server-dir', 'http://h'],
      /--server-dir: \[upstream\] has/,
    ],
    [['sync', 'here', 'there', '--to-dir', 'http://h'], /--to-dir: TO is no URL/],
    [
      ['sync', 'http://h/a', 'http://H:80/a/', '--from-dir', 'http://h/b', '--to-dir', 'http://h/b'],
      /the same/,
    ],
  ])('%j is wrong usage', async (args, message) => {
    await configure();
    const { code, stderr } = await cache(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

/** Starts a web server that is no cache. */
type StartSite = () => Promise<string>;

const startListing: StartSite = async () => {
  const { host, port } = await startNginx(
    ({ port, kept }) => `server { listen 127.0.0.1:${port}; root ${kept}; autoindex on; }`,
  );
  return `http://${host}:${port}`;
};

const startPython: StartSite = async () => {
  const child = spawn('python3', ['-u', '-m', 'http.server', '--bind', '127.0.0.1', '0'], {
    ...{ cwd: await temporaryFolder(), stdio: ['ignore', 'pipe', 'ignore'] },
  });
  onTestFinished(() => void child.kill());
  const line = await new Promise<string>((resolve) => {
    child.stdout.once('data', (text: Buffer) => {
      resolve(text.toString());
    });
  });
  return `http://127.0.0.1:${/port (\d+)/.exec(line)?.[1] ?? ''}`;
};

describe.each([
  ['nginx', startListing, /404 as text\/html from nginx/],
  ['python3', startPython, /404 as text\/html from SimpleHTTP/],
  ['a wrong path of a cache', async () => `${(await startServer()).url}/x`, /404 as text\/plain;/],
  [
    'a wrong path of slapos proxy',
    async () => (await startPeer()).cacheUrl.replace('/cache', 's'),
    /from Peer/,
  ],
] as const)('the 404 of what is no cache: %s', (program, start, answer) => {
  const isMissing = /^(nginx|python3)$/.test(program) && lacks(program);

  it.skipIf(isMissing)('is told apart from a missing entry', async () => {
    await configure();
    const url = await start();
    for (const command of ['lookup', 'check', 'fetch']) {
      const { stderr, code } = await cache(command, RAPID_CDN, '--server', url, ...OS);
      const lines = stderr.split('\n').filter((line) => line.includes('may not be a cache'));
      expect(lines, `${command}: ${stderr}`).toHaveLength(1);
      expect(lines[0]).toContain(`cache: ${url}/bdir may not be a cache: all answers were`);
      expect(lines[0]).toMatch(answer);
      expect(lines[0]).toContain('; correct the URL, or give the URLs of blobs and directory');
      expect(code).toBe(1);
    }
    const sync = await cache('sync', url, 'elsewhere');
    expect(sync.stderr).toMatch(/no list of keys, but 404 .*; correct the URL/);
    expect(sync.code).toBe(1);
  });
});

describe('the 404 of a cache', () => {
  const expectNoDoubt = async (...server: readonly string[]): Promise<void> => {
    for (const command of ['lookup', 'check', 'fetch']) {
      const { stderr, code } = await cache(
        command,
        'https://example.com/none/software.cfg',
        ...server,
        ...OS,
      );
      expect(stderr).not.toContain('may not be');
      expect(code).toBe(1);
    }
  };

  beforeEach(() => configure());

  it('is a missing entry', async () => {
    const server = await startServer();
    await expectNoDoubt('--server', server.url);
    await expectNoDoubt('--server', `${server.url}/shacache`, '--server-dir', `${server.url}/shadir`);
  });

  it('is a missing entry where it looks like any page', async () => {
    const peer = await startPeer();
    await expectNoDoubt('--server', peer.cacheUrl, '--server-dir', peer.dirUrl);
    expect(peer.paths().filter((line) => line.startsWith('OPTIONS'))).toHaveLength(3);
  });

  it('is a missing entry where there is another one: nothing more is asked', async () => {
    const { cacheUrl, dirUrl, paths } = await startPeer();
    const urls = [RAPID_CDN, 'https://example.com/none/software.cfg'];
    const server = ['--server', cacheUrl, '--server-dir', dirUrl];
    const { code, stderr } = await cache('check', ...urls, ...server, ...OS);
    expect(stderr).not.toContain('may not be');
    expect(code).toBe(1);
    expect(paths().filter((line) => line.startsWith('OPTIONS'))).toEqual([]);
  });

  it('is doubted for the blobs where only their URL is wrong', async () => {
    const peer = await startPeer();
    const wrong = peer.cacheUrl.replace('/shacache', '');
    const { code, stdout, stderr } = await cache(
      ...['lookup', RAPID_CDN, '--server', wrong, '--server-dir', peer.dirUrl, ...OS],
    );
    expect(stdout).toContain('MISSING');
    expect(stderr).toContain(
      `cache: ${wrong} may not be a cache: all answers were 404 as text/html from Peer/1`,
    );
    expect(code).toBe(0);
  });
});
