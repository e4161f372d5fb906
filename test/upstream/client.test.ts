import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { collect } from '../fixtures/collect.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { cacheErrorOf, expectCacheError } from '../fixtures/expected-error.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';
import { startCuttingProxy } from '../http/cutting-proxy.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { download, upstreamOf } from './upstream-of.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const CONTENT = 'archive\n';
const DIGEST = digestOf(CONTENT);

let server: HttpServer;

beforeAll(async () => {
  server = await startHttpServer();
  await server.addBlob(CONTENT);
  const signer = await createTestSigner();
  for (const os of [
    ['ubuntu', '22.04', 'jammy'],
    ['debian', '12.1', 'bookworm'],
  ]) {
    await server.directory.add(
      KEY,
      signer.sign(JSON.stringify(membersOf(RAPID_CDN, { os, sha512: DIGEST }))),
    );
  }
});

afterAll(() => server.stop());

describe('the entries of a key', () => {
  it('are those of the answer, in its order', async () => {
    const stored = await server.directory.entries(KEY);
    const entries = await upstreamOf(server.url).entries(KEY);
    expect(entries.map(({ pair }) => pair)).toEqual(stored.map(({ pair }) => pair));
    expect(entries).toHaveLength(2);
  });

  it('are none where the other side has none', async () => {
    expect(await upstreamOf(server.url).entries(keyOfSoftwareUrl('none'))).toEqual([]);
  });

  it('leave out what is no entry', async () => {
    const pair = [JSON.stringify(membersOf(RAPID_CDN)), ''];
    const upstream = await startScriptedServer((_request, response) =>
      response.end(JSON.stringify([['{}', ''], 7, pair, ['not JSON', '']])),
    );
    expect(await upstreamOf(upstream.url).entries(KEY)).toMatchObject([{ pair }]);
  });

  it.each([
    ['<html>', /the answer is not JSON; is this the \/bdir of a cache\?/],
    ['{}', /the answer is not a list of entries/],
  ])('are none of %j', async (body, message) => {
    const upstream = await startScriptedServer((_request, response) => response.end(body));
    await expectCacheError(upstreamOf(upstream.url).entries(KEY), 'unavailable', message);
  });

  it.each([
    ['pypi:slapos.core=1.0', '/bdir/pypi:slapos.core=1.0'],
    ['private:a?b#c%d"e+f', '/bdir/private:a%3Fb%23c%25d%22e+f'],
  ])('are sought under %s as %s', async (key, path) => {
    const upstream = await startScriptedServer((_request, response) => response.end('[]'));
    await upstreamOf(upstream.url).entries(parseKey(key));
    expect(upstream.requests[0]?.url).toBe(path);
  });

  it('under an odd key come from a server like this one', async () => {
    const key = parseKey('private:a?b#c%d"e+f');
    const signer = await createTestSigner();
    await server.directory.add(key, signer.sign(JSON.stringify({ sha512: DIGEST })));
    expect(await upstreamOf(server.url).entries(key)).toHaveLength(1);
  });
});

describe('the size of a blob', () => {
  it('is told by HEAD', async () => {
    expect(await upstreamOf(server.url).blobSize(DIGEST)).toBe(CONTENT.length);
    expect(await upstreamOf(server.url).blobSize(digestOf('none'))).toBeUndefined();
  });

  it.each([
    ['refuses HEAD and knows ranges', 405, true],
    ['leaves out the length and knows ranges', 200, true],
    ['refuses HEAD and knows no ranges', 501, false],
  ])('is found out from a server that %s', async (_what, status, knowsRanges) => {
    const upstream = await startScriptedServer(({ method }, response) => {
      if (method === 'HEAD') response.writeHead(status).end();
      else if (knowsRanges) response.writeHead(206, { 'Content-Range': 'bytes 0-0/8' }).end('a');
      else response.end(CONTENT);
    });
    expect(await upstreamOf(upstream.url).blobSize(DIGEST)).toBe(8);
  });

  it('is undefined where only GET tells that there is none', async () => {
    const upstream = await startScriptedServer(({ method }, response) =>
      response.writeHead(method === 'HEAD' ? 405 : 404).end(),
    );
    expect(await upstreamOf(upstream.url).blobSize(DIGEST)).toBeUndefined();
  });

  it('is an error where nothing tells it', async () => {
    const upstream = await startScriptedServer(({ method }, response) => {
      if (method === 'HEAD') response.writeHead(200).end();
      else response.writeHead(200, { 'Transfer-Encoding': 'chunked' }).end(CONTENT);
    });
    await expectCacheError(upstreamOf(upstream.url).blobSize(DIGEST), 'unavailable', /announces no size/);
  });
});

describe('the list of keys', () => {
  it('comes from a server like this one, each once', async () => {
    const keys = await collect(upstreamOf(server.url).keys());
    expect(keys).toContain(KEY);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('is read again when the connection breaks', async () => {
    const many = await startHttpServer();
    try {
      const signer = await createTestSigner();
      const urls = Array.from({ length: 200 }, (_, index) => `https://example.com/${index}/software.cfg`);
      for (const url of urls)
        await many.directory.add(keyOfSoftwareUrl(url), signer.sign(JSON.stringify(membersOf(url))));
      const proxy = await startCuttingProxy(many, { bytes: 2000, times: 1 });
      const keys = await collect(upstreamOf(proxy.url).keys());
      expect(proxy.cuts()).toBe(1);
      expect(keys.sort()).toEqual(urls.map(keyOfSoftwareUrl).sort());
    } finally {
      await many.stop();
    }
  });

  it.each([
    ['404', 404, {}, ''],
    ['400, as older versions of this program', 400, { 'Content-Type': 'text/plain' }, 'not a key: ""\n'],
    ['405', 405, {}, ''],
    ['a page', 200, { 'Content-Type': 'text/html' }, '<html></html>\n'],
    ['a page that says it is text', 200, { 'Content-Type': 'text/plain' }, 'Index of /bdir\n'],
    ['half a line', 200, { 'Content-Type': 'text/plain' }, `${KEY}\n${KEY}`],
  ])('is none where the answer is %s', async (_what, status, headers, body) => {
    const upstream = await startScriptedServer((_request, response) =>
      response.writeHead(status, headers).end(body),
    );
    await expectCacheError(
      collect(upstreamOf(upstream.url).keys()),
      'not-found',
      new RegExp(
        `^${upstream.url}/bdir/: no list of keys, but ${status}[^;]*; correct the URL, or use cache fetch with URLs: other caches list no keys$`,
      ),
    );
  });
});

describe('a refusal', () => {
  it.each([
    [401, {}, '', 'unauthorized', /: answered 401 Unauthorized: a user name and password are required/],
    [403, { 'Content-Type': 'text/plain' }, 'not you\n', 'forbidden', /: answered 403 Forbidden: not you$/],
    [302, { Location: 'http://b/x' }, '', 'unavailable', /it has moved to "http:\/\/b\/x"; use the new URL/],
    [418, {}, '', 'unavailable', /: answered 418 I'm a Teapot$/],
  ] as const)('with %d says what to do', async (status, headers, body, code, message) => {
    const upstream = await startScriptedServer((_request, response) =>
      response.writeHead(status, headers).end(body),
    );
    await expectCacheError(upstreamOf(upstream.url).entries(KEY), code, message);
    await expectCacheError(download(upstreamOf(upstream.url), DIGEST), code, message);
    expect(upstream.requests).toHaveLength(2);
  });

  it('of a user says so, without the password', async () => {
    const upstream = await startScriptedServer((_request, response) => response.writeHead(401).end());
    const base = upstream.url.replace('//', '//alice:s3cret%40x@');
    const error = await cacheErrorOf(upstreamOf(base).entries(KEY));
    expect(error.message).toBe(
      `${upstream.url}/bdir/${KEY}: answered 401 Unauthorized: wrong user name or password`,
    );
    expect(upstreamOf(base).name).toBe(`${upstream.url}/bdir`);
    const { authorization = '' } = upstream.requests[0]?.headers ?? {};
    expect(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()).toBe('alice:s3cret@x');
  });
});

describe('a server that is not there', () => {
  it('is not waited for', async () => {
    // Port 9 of this machine: nobody listens there.
    await expectCacheError(
      upstreamOf('http://user:password@127.0.0.1:9', {
        patience: { attempts: 9, firstDelay: 60_000 },
      }).entries(KEY),
      'unavailable',
      new RegExp(
        `^http://127\\.0\\.0\\.1:9/bdir/${KEY}: can't be reached \\(ECONNREFUSED\\): no server listens there; start it, or correct the URL$`,
      ),
    );
  });

  it('is waited for when it was there before', async () => {
    const gone = await startHttpServer();
    const upstream = upstreamOf(gone.url);
    expect(await upstream.entries(KEY)).toEqual([]);
    await gone.stop();
    await expectCacheError(upstream.entries(KEY), 'unavailable', /ECONNREFUSED\); tried 3 times$/);
  });

  it('but something else is, that speaks no HTTP', async () => {
    await expectCacheError(
      upstreamOf(server.url.replace('http:', 'https:')).entries(KEY),
      'unavailable',
      /not an HTTPS server; try http:\/\/$/,
    );
  });
});

describe.skipIf(lacks('openssl'))('a server with TLS', () => {
  it('is trusted by its CA, and by nothing else', async () => {
    const ca = await createAuthority(await temporaryFolder(), 'site-ca');
    const { certificate: cert, privateKey: key } = await ca.issue('server', {
      alternativeNames: 'IP:127.0.0.1',
    });
    const upstream = await startScriptedServer((_request, response) => response.end('[]'), { cert, key });
    await expectCacheError(
      upstreamOf(upstream.url).entries(KEY),
      'unavailable',
      /the certificate of "CN=site-ca" is neither known nor sent .* with --ca FILE or \[upstream\] ca-file;/,
    );
    expect(await upstreamOf(upstream.url, { ca: [ca.certificate] }).entries(KEY)).toEqual([]);
    await expectCacheError(
      upstreamOf(upstream.url.replace('127.0.0.1', 'localhost'), { ca: [ca.certificate] }).entries(KEY),
      'unavailable',
      /its certificate is for another name/,
    );
  });
});
