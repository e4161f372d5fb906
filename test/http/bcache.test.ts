import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { ask, headerOf, RawConnection } from './raw-connection.ts';

// More than the pieces that the server reads, and no multiple of them.
const CONTENT = incompressible(1_500_001);

let server: HttpServer;
let digest: Digest;
let empty: Digest;

beforeAll(async () => {
  server = await startHttpServer();
  digest = await server.addBlob(CONTENT);
  empty = await server.addBlob('');
});

afterAll(() => server.stop());

describe('GET /bcache/<sha512>', () => {
  it('sends the bytes of the blob', async () => {
    const response = await ask(server, `/bcache/${digest}`);
    expect(response.status).toBe(200);
    expect(response.body.equals(CONTENT)).toBe(true);
  });

  it('has the headers that clients look for, spelled as they look for them', async () => {
    const { headers } = await ask(server, `/bcache/${digest}`);
    expect(headers).toContainEqual(['Content-Type', 'application/octet-stream']);
    expect(headers).toContainEqual(['Content-Length', '1500001']);
    expect(headers).toContainEqual(['Accept-Ranges', 'bytes']);
    expect(headers).toContainEqual(['Cache-Control', 'public, max-age=31536000, immutable']);
    expect(headers).toContainEqual(['ETag', `"${digest}"`]);
  });

  it('says each thing once', async () => {
    const { headers } = await ask(server, `/bcache/${digest}`);
    const names = headers.map(([name]) => name.toLowerCase());
    expect(names).toEqual([...new Set(names)]);
  });

  it('sends an empty blob', async () => {
    const response = await ask(server, `/bcache/${empty}`);
    expect(response.status).toBe(200);
    expect(headerOf(response, 'Content-Length')).toBe('0');
    expect(headerOf(response, 'Accept-Ranges')).toBe('bytes');
  });

  it('does not look at a query', async () => {
    const response = await ask(server, `/bcache/${digest}?from=node&x=/../`);
    expect(response.status).toBe(200);
    expect(response.body.length).toBe(CONTENT.length);
  });

  it('understands a percent-encoded digest', async () => {
    const encoded = `%${digest.charCodeAt(0).toString(16)}${digest.slice(1)}`;
    const response = await ask(server, `/bcache/${encoded}`);
    expect(response.status).toBe(200);
    expect(response.body.length).toBe(CONTENT.length);
  });

  it('answers 404 in words for a blob that is not there', async () => {
    const missing = 'ab'.repeat(64);
    const response = await ask(server, `/bcache/${missing}`);
    expect(response.status).toBe(404);
    expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
    expect(response.body.toString()).toContain(missing);
  });

  it('lets nobody keep a 404: the blob may come', async () => {
    const { headers } = await ask(server, `/bcache/${'ab'.repeat(64)}`);
    expect(headerOf({ headers }, 'Cache-Control') ?? '').not.toMatch(/max-age|immutable/);
  });

  it('serves many clients at once, each its own bytes', async () => {
    const responses = await Promise.all(
      Array.from({ length: 30 }, (_, index) =>
        ask(server, `/bcache/${digest}`, { headers: { Range: `bytes=${index}-` } }),
      ),
    );
    for (const [index, { body }] of responses.entries())
      expect(body.equals(CONTENT.subarray(index))).toBe(true);
  });
});

describe('HEAD /bcache/<sha512>', () => {
  it.each(['blob', 'empty blob'])('has the head of GET and no body: %s', async (what) => {
    const target = `/bcache/${what === 'blob' ? digest : empty}`;
    const get = await ask(server, target);
    const head = await ask(server, target, { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(withoutDate(head)).toEqual(withoutDate(get));
  });

  it('answers 404 for a blob that is not there', async () => {
    expect((await ask(server, `/bcache/${'ab'.repeat(64)}`, { method: 'HEAD' })).status).toBe(404);
  });

  it('is no fault that the server has to tell of', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => undefined);
    for (let round = 0; round < 5; round++) await ask(server, `/bcache/${digest}`, { method: 'HEAD' });
    // What is told of the last one is told by the time that another request was answered.
    await ask(server, '/health');
    expect(told).not.toHaveBeenCalled();
    told.mockRestore();
  });

  it('leaves the connection usable', async () => {
    const connection = await RawConnection.open(server);
    for (const method of ['HEAD', 'HEAD', 'GET']) {
      connection.request(`/bcache/${digest}`, { method });
      const response = await connection.response(method);
      expect(response.status).toBe(200);
      expect(response.body.length).toBe(method === 'GET' ? CONTENT.length : 0);
    }
    connection.destroy();
  });
});

function withoutDate({ headers }: { readonly headers: readonly (readonly [string, string])[] }): unknown {
  return headers.filter(([name]) => name !== 'Date').toSorted();
}
