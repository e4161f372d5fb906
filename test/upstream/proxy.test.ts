import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { proxyFor } from '../../src/upstream/proxy.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { cacheErrorOf, expectCacheError } from '../fixtures/expected-error.ts';
import { startProxy } from '../fixtures/outside-proxy.ts';
import { startScriptedServer, type ScriptedServer } from '../fixtures/scripted-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';
import { download, upstreamOf } from './upstream-of.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
/** A name that only the proxy knows: nobody asks for it himself. */
const NAME = 'cache.invalid';

const CONTENT = 'archive\n';

function startUpstream(tls?: { cert: string; key: string }): Promise<ScriptedServer> {
  return startScriptedServer(
    ({ url }, response) => response.end(url?.startsWith('/bdir') === true ? '[]' : CONTENT),
    tls,
  );
}

describe.skipIf(lacks('python3'))('a proxy that the environment names', () => {
  it.each(['http_proxy', 'HTTP_PROXY'])('is asked for http:// by %s', async (variable) => {
    const server = await startUpstream();
    const proxy = await startProxy(server.url);
    const upstream = upstreamOf(`http://alice:s3cret@${NAME}:5050`, {
      environment: { [variable]: `http://${proxy.place}` },
    });
    expect(await upstream.entries(KEY)).toEqual([]);
    expect(await download(upstream, digestOf(CONTENT))).toBe(digestOf(CONTENT));
    await expect
      .poll(() => proxy.requests[0])
      .toMatchObject({
        method: 'GET',
        target: `http://${NAME}:5050/bdir/${KEY}`,
        headers: { host: `${NAME}:5050` },
      });
    const { authorization = '' } = server.requests[0]?.headers ?? {};
    expect(Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()).toBe('alice:s3cret');
  });

  it.skipIf(lacks('openssl')).each(['https_proxy', 'HTTPS_PROXY'])(
    'is asked for a tunnel for https:// by %s, through which the certificate is looked at',
    async (variable) => {
      const ca = await createAuthority(await temporaryFolder(), 'site-ca');
      const pair = await ca.issue('server', { alternativeNames: `DNS:${NAME}` });
      const server = await startUpstream({ cert: pair.certificate, key: pair.privateKey });
      const proxy = await startProxy(server.url, '--user', 'bob:pass word');
      const environment = { [variable]: `bob:pass%20word@${proxy.place}` };
      const trusting = { environment, ca: [ca.certificate] };
      const upstream = upstreamOf(`https://alice:s3cret@${NAME}`, trusting);
      expect(await upstream.entries(KEY)).toEqual([]);
      expect(await download(upstream, digestOf(CONTENT))).toBe(digestOf(CONTENT));
      await expect.poll(() => proxy.requests[0]).toMatchObject({ method: 'CONNECT', target: `${NAME}:443` });
      // What is for the server is nobody else's business.
      expect(JSON.stringify(proxy.requests)).not.toMatch(/"authorization"/);
      expect(server.requests[0]?.headers['proxy-authorization']).toBeUndefined();
      await expectCacheError(
        upstreamOf('https://other.invalid', trusting).entries(KEY),
        'unavailable',
        /certificate/,
      );
      await expectCacheError(
        upstreamOf(`https://${NAME}`, { environment }).entries(KEY),
        'unavailable',
        /certificate/,
      );
    },
  );

  it('is named, without its password, when it is not there', async () => {
    const environment = { HTTP_PROXY: 'http://bob:s3cret@127.0.0.1:9', https_proxy: '127.0.0.1:9' };
    for (const [scheme, variable] of [
      ['http', 'HTTP_PROXY'],
      ['https', 'https_proxy'],
    ] as const) {
      const { message } = await cacheErrorOf(upstreamOf(`${scheme}://${NAME}`, { environment }).entries(KEY));
      // A tunnel is for all that is asked there.
      const url = `${scheme}://${NAME}/bdir${scheme === 'http' ? `/${KEY}` : ''}`;
      expect(message).toBe(
        `${url}: the proxy http://127.0.0.1:9 (${variable}) can't be reached (ECONNREFUSED); correct ${variable}, or name the host in NO_PROXY`,
      );
    }
  });

  it.each(['http', 'https'])('is named when it refuses (%s)', async (scheme) => {
    const server = await startUpstream();
    const proxy = await startProxy(server.url, '--user', 'bob:x');
    const environment = { [`${scheme}_proxy`]: proxy.place };
    await expectCacheError(
      upstreamOf(`${scheme}://${NAME}`, { environment }).entries(KEY),
      'unavailable',
      new RegExp(
        `answered 407 Proxy Authentication Required: the proxy http://${proxy.place} \\(${scheme}_proxy\\) requires a user name and password; write them into ${scheme}_proxy, as http://USER:PASSWORD@HOST:PORT$`,
      ),
    );
    const closed = await startProxy(server.url, '--answer', '403');
    await expectCacheError(
      upstreamOf(`${scheme}://${NAME}`, { environment: { [`${scheme}_proxy`]: closed.place } }).entries(KEY),
      scheme === 'http' ? 'forbidden' : 'unavailable',
      new RegExp(`answered 403 Told To \\(through the proxy http://${closed.place}, ${scheme}_proxy\\)`),
    );
  });

  it('is tried again when it says that the way is blocked for now', async () => {
    const proxy = await startProxy((await startUpstream()).url, '--answer', '503');
    for (const scheme of ['http', 'https']) {
      await expectCacheError(
        upstreamOf(`${scheme}://${NAME}`, { environment: { [`${scheme}_proxy`]: proxy.place } }).entries(KEY),
        'unavailable',
        /answered 503 .*tried 3 times$/,
      );
    }
    await expect.poll(() => proxy.requests).toHaveLength(6);
  });
});

describe('the proxy for a URL', () => {
  const environment = { http_proxy: 'low:1', HTTP_PROXY: 'high:1', HTTPS_PROXY: 'http://user:pw@secure' };
  const shown = (url: string, more: NodeJS.ProcessEnv = {}): string | undefined =>
    proxyFor(new URL(url), { ...environment, ...more })?.name;

  it('is that of its scheme, small letters first', () => {
    expect(shown('http://a.example')).toBe('http://low:1');
    expect(shown('http://a.example', { http_proxy: '' })).toBe('http://high:1');
    expect(shown('https://a.example')).toBe('http://secure');
    expect(proxyFor(new URL('https://a.example'), { http_proxy: 'low:1' })).toBeUndefined();
  });

  // As curl(1) has it, "Environment".
  it.each([
    ['example.org', 'http://example.org', true],
    ['example.org', 'http://a.EXAMPLE.org:5050', true],
    ['.example.org', 'http://example.org', true],
    ['.example.org', 'http://a.example.org', true],
    ['example.org', 'http://notexample.org', false],
    ['example.org', 'http://example.org.evil', false],
    ['one, two three,,four', 'http://three', true],
    ['one, two three,,four', 'http://four', true],
    ['*', 'https://a', true],
    ['*.example.org', 'http://a.example.org', false],
    ['192.0.2.0/24', 'http://192.0.2.77:5050', true],
    ['192.0.2.0/24', 'http://192.0.3.77', false],
    ['192.0.2.7', 'http://192.0.2.7', true],
    ['2.7', 'http://192.0.2.7', false],
    ['2001:db8::/32', 'http://[2001:db8:0::1]:5050', true],
    ['2001:0db8::1', 'http://[2001:db8::1]', true],
    ['[2001:db8::1]', 'http://[2001:db8::1]', true],
    ['2001:db8::/32', 'http://192.0.2.7', false],
    ['192.0.2.0/99, x/8, /', 'http://192.0.2.7', false],
    ['', 'http://a', false],
  ])('with NO_PROXY = %j: is none for %s: %s', (list, url, isExcepted) => {
    expect(shown(url, { NO_PROXY: list }) === undefined).toBe(isExcepted);
    expect(shown(url, { no_proxy: list, NO_PROXY: 'other' }) === undefined).toBe(isExcepted);
  });

  it.each(['http://localhost:1', 'http://LOCALHOST', 'https://127.9.9.9', 'http://[::1]:5050'])(
    'is none for %s, which is this machine: no proxy can reach it',
    (url) => {
      expect(shown(url)).toBeUndefined();
    },
  );

  it.each(['socks5://a:1', 'https://a:1', 'http://', 'http://a b'])('can not be %s', async (value) => {
    await expectCacheError(
      () => Promise.resolve(proxyFor(new URL('http://a'), { HTTP_PROXY: value })),
      'config',
      /^HTTP_PROXY: unsupported proxy .*; write http:\/\/HOST:PORT, or unset it$/,
    );
    const error = await cacheErrorOf(() =>
      Promise.resolve(proxyFor(new URL('http://a'), { HTTP_PROXY: 'socks5://bob:s3cret@a:1' })),
    );
    expect(error.message).not.toContain('s3cret');
  });
});
