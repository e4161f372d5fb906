import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { serveFrom } from '../cli/served.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run } from './outside-programs.ts';
import { ask, RawConnection } from './raw-connection.ts';

const CONTENT = 'content of a blob';
const DIGEST = digestOf(CONTENT);
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const ENTRY = unsignedEntry(membersOf(RAPID_CDN, { sha512: DIGEST }));
const LIST = JSON.stringify([ENTRY.pair]);
const CACHE_HOST = 'shacache.example';
const DIR_HOST = 'shadir.example';

let server: HttpServer;

async function start(access: AccessControl = { anonymous: 'upload' }): Promise<void> {
  server = await startHttpServer({
    parts: (usual) => ({
      ...usual,
      access,
      upload: { ...usual.upload, allowUnsigned: true },
      hosts: { cache: [CACHE_HOST, 'www.shacache.example'], directory: [DIR_HOST] },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
}

interface CurlAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, readonly string[]>>;
}

/** Asks this server, whatever the host in the URL is: as a site's DNS would lead there. */
async function curl(url: string, ...options: readonly string[]): Promise<CurlAnswer> {
  const { code, stdout, stderr } = await run('curl', [
    ...PLAIN_CURL,
    ...['--silent', '--show-error', '--path-as-is', '--connect-to', `::127.0.0.1:${server.port}`],
    ...['--write-out', '\n%{http_code}\n%{header_json}', ...options, url],
  ]);
  expect(code, stderr).toBe(0);
  const [, body = '', status = '', headers = ''] = /^([^]*)\n(\d{3})\n(\{[^]*)$/.exec(stdout) ?? [];
  return { body, status: Number(status), headers: JSON.parse(headers) as CurlAnswer['headers'] };
}

const LAYOUTS = [
  ['as here', 'http://cache.invalid/bcache', 'http://cache.invalid/bdir'],
  ['slapos proxy', 'http://proxy.invalid/shacache/cache', 'http://proxy.invalid/shacache/dir'],
  ['two folders', 'http://www.invalid/shacache', 'http://www.invalid/shadir'],
  ['two hosts', `http://${CACHE_HOST}`, `http://${DIR_HOST}`],
] as const;

describe.skipIf(lacks('curl'))('a client of the layout', () => {
  let folder: string;

  beforeEach(async () => {
    await start();
    folder = await temporaryFolder();
    await writeFile(join(folder, 'blob'), CONTENT);
    await writeFile(join(folder, 'entry'), JSON.stringify(ENTRY.pair));
  });

  it.each(LAYOUTS)('%s uploads and downloads', async (_name, cache, dir) => {
    expect(await curl(`${cache}/${DIGEST}`)).toMatchObject({ status: 404 });
    expect(await curl(`${dir}/${KEY}`)).toMatchObject({ status: 404 });
    for (const target of [cache, `${cache}/`])
      expect(await curl(target, '--data-binary', `@${folder}/blob`)).toMatchObject({
        ...{ status: 201, body: DIGEST },
      });
    const put = ['--request', 'PUT', '--data-binary'];
    expect(await curl(`${cache}/${DIGEST}`, ...put, `@${folder}/blob`)).toMatchObject({ status: 201 });
    expect(await curl(`${dir}/${KEY}`, ...put, `@${folder}/entry`)).toMatchObject({ status: 201, body: '' });
    expect(await curl(`${dir}/${KEY}`)).toMatchObject({ status: 200, body: LIST });
    const blob = await curl(`${cache}/${DIGEST}`);
    expect(blob).toMatchObject({ status: 200, body: CONTENT });
    const [etag = ''] = blob.headers['etag'] ?? [];
    expect(await curl(`${cache}/${DIGEST}`, '-H', `If-None-Match: ${etag}`)).toMatchObject({ status: 304 });
    expect(await curl(`${cache}/${DIGEST}`, '--range', '11-')).toMatchObject({ status: 206, body: 'a blob' });
    const head = await curl(`${cache}/${DIGEST}`, '--head', '--output', '/dev/null');
    expect(head).toMatchObject({ status: 200, headers: { 'content-length': [String(CONTENT.length)] } });
    expect(await curl(`${dir}/`)).toMatchObject({ status: 200, body: `${KEY}\n` });
  });

  it.each(LAYOUTS)('%s is told which methods there are', async (_name, cache, dir) => {
    for (const [url, allow] of [
      [`${cache}/`, 'POST'],
      [`${cache}/${DIGEST}`, 'GET, HEAD, PUT'],
      [`${dir}/${KEY}`, 'GET, HEAD, PUT'],
    ] as const)
      expect(await curl(url, '--request', 'DELETE')).toMatchObject({
        ...{ status: 405, headers: { allow: [allow] } },
      });
  });

  it.each(LAYOUTS)('%s gets 400 for a name that is none', async (_name, cache, dir) => {
    const path = cache === `http://${CACHE_HOST}` ? '/x' : '/x/y';
    expect((await curl(cache + path)).status).toBe(400);
    expect((await curl(`${cache}/..`)).status).toBe(400);
    expect((await curl(`${dir}/..`)).status).toBe(400);
    expect((await curl(`${dir}/a%2Fb`)).status).toBe(400);
  });

  it('finds keys that are not of releases as they are sent', async () => {
    for (const key of ['pypi:setuptools=44.1.1', 'file-urlmd5:0.5', 'dir', 'cache', 'health']) {
      const entry = unsignedEntry({ sha512: DIGEST, note: key });
      await server.directory.add(parseKey(key), entry);
      expect(await curl(`http://${DIR_HOST}/${key}`)).toMatchObject({ status: 200 });
      expect(await curl(`http://${DIR_HOST}/shadir/${key}`)).toMatchObject({ status: 200 });
      expect(await curl(`http://proxy.invalid/shacache/dir/${key}`)).toMatchObject({ status: 200 });
    }
  });
});

describe('names of hosts', () => {
  const statusFor = async (target: string, headers: Readonly<Record<string, string>>) =>
    (await ask(server, target, { headers })).status;

  beforeEach(async () => {
    await start();
    await server.addBlob(CONTENT);
    await server.directory.add(KEY, ENTRY);
  });

  it('count in any case, with a port, with a dot at their end, and each of a list', async () => {
    for (const host of [
      CACHE_HOST,
      'SHAcache.Example',
      `${CACHE_HOST}:80`,
      `${CACHE_HOST}.`,
      'www.shacache.example:8080',
    ])
      expect(await statusFor(`/${DIGEST}`, { Host: host }), host).toBe(200);
    expect(await statusFor(`/${KEY}`, { Host: `${DIR_HOST}.:5050` })).toBe(200);
  });

  it('that are others change nothing', async () => {
    for (const host of ['', 'example', `x.${CACHE_HOST}`, `${CACHE_HOST}.evil`, '127.0.0.1']) {
      expect(await statusFor(`/${DIGEST}`, { Host: host }), host).toBe(404);
      expect(await statusFor(`/${KEY}`, { Host: host }), host).toBe(404);
    }
    expect(await statusFor(`/${KEY}`, { Host: CACHE_HOST })).toBe(400);
    expect(await statusFor(`/${'0'.repeat(128)}`, { Host: DIR_HOST })).toBe(404);
  });

  it('in a whole URL count before the Host header', async () => {
    expect(await statusFor(`http://${CACHE_HOST}/${DIGEST}`, { Host: 'other' })).toBe(200);
    expect(await statusFor(`http://user@${DIR_HOST}:80/${KEY}?x#y`, { Host: CACHE_HOST })).toBe(200);
    expect(await statusFor(`http://other/${DIGEST}`, { Host: CACHE_HOST })).toBe(404);
  });

  it('leave the other paths what they are', async () => {
    expect(await statusFor(`/bcache/${DIGEST}`, { Host: CACHE_HOST })).toBe(200);
    expect(await statusFor(`/bdir/${KEY}`, { Host: CACHE_HOST })).toBe(200);
    expect(await statusFor('/health', { Host: 'example' })).toBe(200);
  });

  it('are not needed: a client of HTTP/1.0 names none', async () => {
    const connection = await RawConnection.open(server);
    connection.send(`GET /bcache/${DIGEST} HTTP/1.0\r\n\r\n`);
    expect((await connection.response()).status).toBe(200);
    connection.end();
  });

  it('are logged with the path that was sent', async () => {
    await statusFor(`/${DIGEST}`, { Host: CACHE_HOST });
    await statusFor(`/shadir/${KEY}`, {});
    await expect.poll(() => server.lines.map(({ path }) => path)).toEqual([`/${DIGEST}`, `/shadir/${KEY}`]);
  });
});

describe('access', () => {
  it('is the same in every layout', async () => {
    await start({ anonymous: 'read' });
    await server.addBlob(CONTENT);
    for (const [host, blobs, directory] of [
      ['x', '/bcache/', '/bdir/'],
      ['x', '/shacache/cache/', '/shacache/dir/'],
      ['x', '/shacache/', '/shadir/'],
      [CACHE_HOST, '/', '/bdir/'],
      [DIR_HOST, '/bcache/', '/'],
    ] as const) {
      const headers = { Host: host, 'Content-Length': '0' };
      const uploads = [
        ['POST', blobs],
        ['PUT', blobs + DIGEST],
        ['PUT', directory + KEY],
      ] as const;
      for (const [method, target] of uploads)
        expect((await ask(server, target, { method, headers })).status, `${method} ${target}`).toBe(403);
      expect((await ask(server, blobs + DIGEST, { headers: { Host: host } })).status).toBe(200);
    }
  });
});

describe.skipIf(lacks('curl'))('cache serve', () => {
  it('takes the names from config.ini', async () => {
    const folder = await temporaryFolder();
    await writeFile(
      join(folder, 'config.ini'),
      '[server]\ncache-host = shacache.example\ndir-host = shadir.example other.example\n[store]\npath = store\n',
    );
    const store = await openStore(join(folder, 'store'), {
      ...{ mode: 'write', make: true, who: { user: 'root', host: 'master' } },
    });
    await store.directory.add(KEY, ENTRY);
    const { url } = await serveFrom(folder);
    const statusOf = async (host: string): Promise<string> => {
      const options = ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}'];
      return (await run('curl', [...PLAIN_CURL, ...options, '-H', `Host: ${host}`, `${url}/${KEY}`])).stdout;
    };
    expect(await statusOf('shadir.example')).toBe('200');
    expect(await statusOf('Other.Example:80')).toBe('200');
    expect(await statusOf('shacache.example')).toBe('400');
    expect(await statusOf('third.example')).toBe('404');
  });
});
