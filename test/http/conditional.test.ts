import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';

const CONTENT = 'the content of a blob';
const KEY = keyOfSoftwareUrl(RAPID_CDN);

let server: HttpServer;
let signer: Signer;
/** Path and entity tag of what is served. */
const served: Record<'blob' | 'directory', { target: string; etag: string }> = {
  blob: { target: '', etag: '' },
  directory: { target: `/bdir/${KEY}`, etag: '' },
};

beforeAll(async () => {
  server = await startHttpServer();
  signer = await createTestSigner();
  served.blob.target = `/bcache/${await server.addBlob(CONTENT)}`;
  await server.directory.add(KEY, signer.sign(JSON.stringify(membersOf(RAPID_CDN))));
  for (const thing of [served.blob, served.directory])
    thing.etag = headerOf(await ask(server, thing.target), 'ETag') ?? '';
});

afterAll(() => server.stop());

describe.each(['blob', 'directory'] as const)('If-None-Match for a %s', (name) => {
  const same: readonly (readonly [string, (etag: string) => string])[] = [
    ['the same tag', (etag) => etag],
    ['the same tag made weak', (etag) => `W/${etag}`],
    ['a list that has it', (etag) => `"a", W/"b" ,${etag},"c"`],
    ['any tag', () => '*'],
  ];
  it.each(same)('answers 304 without body for %s', async (_what, tagOf) => {
    const { target, etag } = served[name];
    for (const method of ['GET', 'HEAD']) {
      const headers = { 'If-None-Match': tagOf(etag) };
      const response = await ask(server, target, { method, headers });
      expect(response.status).toBe(304);
      expect(headerOf(response, 'ETag')).toBe(etag);
      expect(headerOf(response, 'Cache-Control')).toMatch(name === 'blob' ? /immutable/ : /^no-cache$/);
      expect(headerOf(response, 'Content-Length') ?? '0').not.toMatch(/[1-9]/);
    }
  });

  it.each([
    ['another tag', () => '"other"'],
    ['a list without it', () => '"a", W/"b"'],
    ['the tag without quotes', (etag: string) => etag.slice(1, -1)],
    ['a part of the tag', (etag: string) => `${etag.slice(0, 20)}"`],
    ['nothing', () => ''],
  ])('answers 200 for %s', async (_what, tagOf) => {
    const { target, etag } = served[name];
    const response = await ask(server, target, { headers: { 'If-None-Match': tagOf(etag) } });
    expect(response.status).toBe(200);
    expect(response.body.length).toBeGreaterThan(0);
  });

  it('reads a list that is spread over two lines', async () => {
    const { target, etag } = served[name];
    const connection = await RawConnection.open(server);
    connection.send(
      `GET ${target} HTTP/1.1\r\nHost: x\r\nIf-None-Match: "a"\r\nIf-None-Match: ${etag}\r\n\r\n`,
    );
    expect((await connection.response()).status).toBe(304);
    connection.destroy();
  });

  it('leaves the connection usable after a 304', async () => {
    const { target, etag } = served[name];
    const connection = await RawConnection.open(server);
    connection.request(target, { headers: { 'If-None-Match': etag } });
    expect((await connection.response()).status).toBe(304);
    connection.request(target);
    expect((await connection.response()).status).toBe(200);
    connection.destroy();
  });

  it('is told of before a range', async () => {
    const { target, etag } = served[name];
    const headers = { 'If-None-Match': etag, Range: 'bytes=0-1' };
    expect((await ask(server, target, { headers })).status).toBe(304);
  });

  it('does not look at dates, which nothing here has', async () => {
    const { target } = served[name];
    const headers = { 'If-Modified-Since': new Date().toUTCString() };
    expect((await ask(server, target, { headers })).status).toBe(200);
  });
});

describe.each(['blob', 'directory'] as const)('If-Match for a %s', (name) => {
  // RFC 9110, 13.1.1: an origin server MUST evaluate it.
  it('answers 412 when the tag is another', async () => {
    const { target, etag } = served[name];
    // A weak tag is nobody's there: the comparison is the strong one (RFC 9110, 13.1.1).
    for (const tag of ['"other"', `W/${etag}`])
      expect((await ask(server, target, { headers: { 'If-Match': tag } })).status, tag).toBe(412);
  });

  it.each(['*', 'tag'])('answers 200 when it is there: %s', async (which) => {
    const { target, etag } = served[name];
    const headers = { 'If-Match': which === 'tag' ? `"a", ${etag}` : which };
    expect((await ask(server, target, { headers })).status).toBe(200);
  });
});

describe('the tag of a key', () => {
  it('is another after an entry was added, so that nobody keeps the old list', async () => {
    const { target, etag } = served.directory;
    await server.directory.add(KEY, signer.sign(JSON.stringify(membersOf(RAPID_CDN, { note: 'newer' }))));
    const askAgain = (): Promise<RawResponse> => ask(server, target, { headers: { 'If-None-Match': etag } });
    // The server may be a second behind what others do to the store.
    await expect.poll(async () => (await askAgain()).status).toBe(200);
    expect(headerOf(await askAgain(), 'ETag')).not.toBe(etag);
  });
});

it('answers 404, not 304, for what is not there', async () => {
  const headers = { 'If-None-Match': '*' };
  expect((await ask(server, `/bcache/${'ab'.repeat(64)}`, { headers })).status).toBe(404);
  expect((await ask(server, `/bdir/${'0'.repeat(32)}`, { headers })).status).toBe(404);
});
