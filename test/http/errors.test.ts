import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, askRaw, headerOf, RawConnection } from './raw-connection.ts';
import { StorageObserver } from './storage-observer.ts';

const HEX = 'abcdef0123456789'.repeat(8);

const observer = new StorageObserver();
let server: HttpServer;
let digest: Digest;

beforeAll(async () => {
  server = await startHttpServer({ wrapStorage: observer.wrap });
  digest = await server.addBlob('content');
  // The files that a path leading out of the store would reach first.
  await server.addBlob('another');
});

afterAll(() => server.stop());

/** Refused in words, without a look into the store. */
async function expectRefused(target: string, words: RegExp): Promise<void> {
  observer.names.length = 0;
  const response = await ask(server, target);
  expect(response.status, target).toBe(400);
  expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
  expect(response.body.toString()).toMatch(words);
  expect(observer.names).toEqual([]);
}

describe('what is no digest', () => {
  it.each([
    ['one digit less', HEX.slice(1)],
    ['one digit more', `${HEX}0`],
    ['upper case', HEX.toUpperCase()],
    ['one letter in upper case', `A${HEX.slice(1)}`],
    ['a letter that is no digit', `g${HEX.slice(1)}`],
    ['a md5', HEX.slice(0, 32)],
    ['a slash behind', `${HEX}/`],
    ['a slash before', `/${HEX}`],
    ['a slash inside', `${HEX.slice(0, 64)}/${HEX.slice(65)}`],
    ['two levels up', `../../${HEX}`],
    ['up and down again', `../bcache/${HEX}`],
    ['one dot', `./${HEX}`],
    ['encoded dots', `%2e%2e/%2E%2e/${HEX}`],
    ['encoded slashes', `..%2f..%2F${HEX}`],
    ['doubly encoded dots', '%252e%252e%252f'],
    ['an absolute path', '/etc/passwd'],
    ['a zero byte', `${HEX}%00`],
    ['a line feed', `${HEX}%0a`],
    ['a carriage return', `${HEX}%0D`],
    ['a space', `%20${HEX}`],
    ['a tabulator', `${HEX}%09`],
    ['wide digits', `%EF%BC%90${HEX.slice(1)}`],
    ['the name of a temporary file', `.${HEX}.tmp`],
    ['ten thousand digits', HEX.repeat(78)],
  ])('is refused: %s', async (_what, text) => {
    await expectRefused(`/bcache/${text}`, /not a sha512/);
  });
});

it.each(['/bcache', '/bcache/', '/bcache?x'])('has nothing to read at %s itself', async (target) => {
  const response = await ask(server, target);
  expect([400, 404, 405]).toContain(response.status);
  expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
});

describe('what is no key', () => {
  it.each([
    ['a slash behind', `${HEX.slice(0, 32)}/`],
    ['a slash inside', 'pypi:a/b'],
    ['an encoded slash', 'pypi:a%2fb'],
    ['two dots', '..'],
    ['two levels up', '../../store.json'],
    ['encoded dots', '%2e%2e%2fstore.json'],
    ['a folder up behind a scheme', 'pypi:../../store.json'],
    ['a URL', 'http://example.org/software.cfg'],
    ['an encoded URL', 'http%3A%2F%2Fexample.org%2Fsoftware.cfg'],
    ['a zero byte', 'pypi:a%00'],
    ['a line feed', 'pypi:a%0Ab'],
    ['a delete character', 'pypi:a%7f'],
    ['an escape sequence for a terminal', 'pypi:%1b%5b2J'],
    ['a space', 'pypi:a%20b'],
    ['a letter that is not ASCII', 'pypi:%C3%BC'],
    ['a right-to-left mark', 'pypi:a%E2%80%AEb'],
  ])('is refused: %s', async (_what, text) => {
    await expectRefused(`/bdir/${text}`, /not a key/);
  });

  it('is quoted without characters that a terminal acts on', async () => {
    const response = await ask(server, '/bdir/pypi:%1b%5b2J%0d%0aX%7f%c2%9b');
    // eslint-disable-next-line no-control-regex -- they are what is looked for
    expect(response.body.toString('utf8').trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});

describe('bad percent-encoding', () => {
  it.each(['%', '%1', '%zz', '%G0', 'a%', '%ff', '%c3', '%c3%28', '%ed%a0%80', '%u0041', '%%20'])(
    'is refused: %s',
    async (text) => {
      await expectRefused(`/bcache/${text}`, /percent-encoding/);
      await expectRefused(`/bdir/pypi:${text}`, /percent-encoding/);
    },
  );
});

describe('paths that are nothing here', () => {
  it.each(['/', '/index.html', '/bcacheX', '/bdirs/x', '/BCACHE/x', '/healthy', '/health/', '/store.json'])(
    'are answered 404 in words: %s',
    async (target) => {
      const response = await ask(server, target);
      expect(response.status).toBe(404);
      expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
      expect(response.body.toString()).toContain('/bcache/<sha512>');
    },
  );

  it.each([
    (name: string) => `//bcache/${name}`,
    (name: string) => `/./bcache/${name}`,
    (name: string) => `/bdir/../bcache/${name}`,
    (name: string) => `/x/../bcache/${name}`,
    (name: string) => `/bcache/../bcache/${name}`,
    (name: string) => `/bcache/./${name}`,
    (name: string) => `/bcache//${name}`,
    (name: string) => `/bcache\\${name}`,
    (name: string) => `/..;/bcache/${name}`,
    (name: string) => `/%62cache/${name}`,
  ])('are not made into other paths', async (targetOf) => {
    const { status } = await ask(server, targetOf(digest));
    expect([400, 404]).toContain(status);
  });
});

describe('methods that are nothing here', () => {
  it.each(['DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'MKCOL', 'PURGE'])(
    'are answered 405 with Allow: %s',
    async (method) => {
      for (const target of [`/bcache/${digest}`, `/bdir/${'0'.repeat(32)}`]) {
        const response = await ask(server, target, { method });
        expect(response.status).toBe(405);
        expect(headerOf(response, 'Allow')?.split(', ')).toEqual(expect.arrayContaining(['GET', 'HEAD']));
        expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
      }
      expect((await ask(server, `/bcache/${digest}`)).status).toBe(200);
    },
  );

  it('leaves the connection usable', async () => {
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${digest}`, { method: 'DELETE' });
    expect((await connection.response()).status).toBe(405);
    connection.request(`/bcache/${digest}`);
    expect((await connection.response()).status).toBe(200);
    connection.destroy();
  });
});

describe('what is no HTTP', () => {
  it.each([
    ['no method', '/bcache HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a method of our own', 'FETCH /health HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a space in the target', 'GET /bcache/a b HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a zero byte in the target', 'GET /bcache/\0 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['another version', 'GET /health HTTP/3.7\r\nHost: x\r\n\r\n'],
    ['a header without colon', 'GET /health HTTP/1.1\r\nHost: x\r\nnonsense\r\n\r\n'],
    ['a header with a zero byte', 'GET /health HTTP/1.1\r\nHost: x\r\nA: \0\r\n\r\n'],
    ['two lengths', 'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    [
      'a length and chunks',
      'GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a TLS greeting', '\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03'],
  ])('is answered 400 and the server goes on: %s', async (_what, bytes) => {
    expect((await askRaw(server, bytes)).status).toBe(400);
    expect((await ask(server, `/bcache/${digest}`)).status).toBe(200);
  });

  it('is refused when its head is endless', async () => {
    const response = await ask(server, '/health', { headers: { A: 'x'.repeat(20_000) } });
    expect(response.status).toBe(431);
    expect((await ask(server, '/health')).status).toBe(200);
  });
});
