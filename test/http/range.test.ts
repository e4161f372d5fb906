import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { ask, headerOf, type RawResponse } from './raw-connection.ts';

const SIZE = 700_003;
const CONTENT = incompressible(SIZE);

let server: HttpServer;
let digest: Digest;
let empty: Digest;

beforeAll(async () => {
  server = await startHttpServer();
  digest = await server.addBlob(CONTENT);
  empty = await server.addBlob('');
});

afterAll(() => server.stop());

function askRange(range: string, headers: Readonly<Record<string, string>> = {}): Promise<RawResponse> {
  return ask(server, `/bcache/${digest}`, { headers: { Range: range, ...headers } });
}

function expectPart(response: RawResponse, start: number, end: number): void {
  expect(response.status).toBe(206);
  expect(response.headers).toContainEqual(['Content-Range', `bytes ${start}-${end}/${SIZE}`]);
  expect(response.headers).toContainEqual(['Content-Length', String(end - start + 1)]);
  expect(response.headers).toContainEqual(['Accept-Ranges', 'bytes']);
  expect(response.headers).toContainEqual(['Content-Type', 'application/octet-stream']);
  expect(response.headers).toContainEqual(['ETag', `"${digest}"`]);
  expect(response.headers).toContainEqual(['Cache-Control', 'public, max-age=31536000, immutable']);
  expect(response.body.equals(CONTENT.subarray(start, end + 1))).toBe(true);
}

function expectWhole(response: RawResponse): void {
  expect(response.status).toBe(200);
  expect(headerOf(response, 'Content-Range')).toBeUndefined();
  expect(response.body.equals(CONTENT)).toBe(true);
}

describe('one range', () => {
  it.each([
    ['bytes=0-0', 0, 0],
    ['bytes=0-99', 0, 99],
    ['bytes=65535-65536', 65_535, 65_536],
    ['bytes=100000-699999', 100_000, 699_999],
    ['bytes=0-', 0, SIZE - 1],
    ['bytes=1-', 1, SIZE - 1],
    [`bytes=${SIZE - 1}-`, SIZE - 1, SIZE - 1],
    [`bytes=0-${SIZE}`, 0, SIZE - 1],
    ['bytes=5-99999999999999999999', 5, SIZE - 1],
    ['bytes=-1', SIZE - 1, SIZE - 1],
    ['bytes=-65537', SIZE - 65_537, SIZE - 1],
    [`bytes=-${SIZE}`, 0, SIZE - 1],
    // "If the selected representation is shorter than the specified suffix-length, the entire representation is used."
    [`bytes=-${SIZE + 1}`, 0, SIZE - 1],
    ['bytes=-99999999999999999999', 0, SIZE - 1],
  ])('sends the part for %s', async (range, start, end) => {
    expectPart(await askRange(range), start, end);
  });

  it('is put together again from parts of every size', async () => {
    const parts: Buffer[] = [];
    for (let start = 0, size = 1; start < SIZE; start += size, size *= 3)
      parts.push((await askRange(`bytes=${start}-${start + size - 1}`)).body);
    expect(Buffer.concat(parts).equals(CONTENT)).toBe(true);
  });
});

describe('a range that cannot be satisfied', () => {
  it.each([`bytes=${SIZE}-`, `bytes=${SIZE}-${SIZE + 5}`, 'bytes=99999999999999999999-', 'bytes=-0'])(
    'is answered 416 with the size: %s',
    async (range) => {
      const response = await askRange(range);
      expect(response.status).toBe(416);
      expect(headerOf(response, 'Content-Range')).toBe(`bytes */${SIZE}`);
    },
  );

  it('is not a part of an empty blob', async () => {
    const response = await ask(server, `/bcache/${empty}`, { headers: { Range: 'bytes=0-' } });
    expect(response.status).toBe(416);
    expect(headerOf(response, 'Content-Range')).toBe('bytes */0');
    expect(response.body.length).toBe(0);
  });
});

describe('what is no range of bytes', () => {
  it.each([
    'bytes',
    'bytes=',
    'bytes=-',
    'bytes=a-b',
    'bytes=1e3-',
    'bytes=0x10-',
    'bytes=--5',
    'bytes=1-2-3',
    'bytes=+1-2',
    'bytes=1.5-',
    'items=0-5',
    'none',
    '0-5',
    ' ',
    'bytes = 0-5',
    'bytes=0 - 5',
  ])('is ignored: "%s"', async (range) => {
    expectWhole(await askRange(range));
  });

  // RFC 9110, 14.2: may be ignored or refused.
  it('never sends a part for a range that ends before it begins', async () => {
    expect([200, 416]).toContain((await askRange('bytes=5-2')).status);
  });

  it.each(['bytes=0-1,4-5', 'bytes=0-1, -5', `bytes=${'0-0,'.repeat(1000)}0-0`])(
    'answers several ranges with everything',
    async (range) => {
      expectWhole(await askRange(range));
    },
  );
});

describe('If-Range', () => {
  it('sends the part when the tag is that of the blob', async () => {
    expectPart(await askRange('bytes=10-', { 'If-Range': `"${digest}"` }), 10, SIZE - 1);
  });

  it.each([
    ['another tag', '"other"'],
    ['a date, which a blob has none of', 'Wed, 21 Oct 2015 07:28:00 GMT'],
    ['nothing', ''],
  ])('sends everything for %s', async (_what, tag) => {
    expectWhole(await askRange('bytes=10-', { 'If-Range': tag }));
  });

  it('sends everything for the same tag made weak', async () => {
    expectWhole(await askRange('bytes=10-', { 'If-Range': `W/"${digest}"` }));
  });

  it('sends everything, not 416, when the tag is another and the range is none', async () => {
    expectWhole(await askRange(`bytes=${SIZE}-`, { 'If-Range': '"other"' }));
  });
});

describe('elsewhere', () => {
  it('means nothing in a HEAD', async () => {
    const response = await ask(server, `/bcache/${digest}`, {
      method: 'HEAD',
      headers: { Range: 'bytes=0-5' },
    });
    expect(response.status).toBe(200);
    expect(headerOf(response, 'Content-Length')).toBe(String(SIZE));
  });

  it('means nothing for a blob that is not there', async () => {
    const response = await ask(server, `/bcache/${'ab'.repeat(64)}`, { headers: { Range: 'bytes=0-5' } });
    expect(response.status).toBe(404);
  });

  it('means nothing for the directory', async () => {
    const response = await ask(server, `/bdir/${'0'.repeat(32)}`, { headers: { Range: 'bytes=0-5' } });
    expect(response.status).toBe(404);
  });
});
