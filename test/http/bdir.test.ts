import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EntryPair } from '../../src/cache/entry.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { entriesPrefix } from '../../src/cache/layout.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

let server: HttpServer;
let signer: Signer;
/** In the order in which they were added. */
let pairs: readonly EntryPair[];

beforeAll(async () => {
  server = await startHttpServer();
  signer = await createTestSigner();
  const texts = [
    JSON.stringify(membersOf(RAPID_CDN)),
    // As no program of ours would write it: the signature covers exactly this.
    `{ "software_url" : "${RAPID_CDN}",\t"sha512":"${'1f'.repeat(64)}","note": "Z\\u00fcrich – Zürich\\/" }\n`,
    JSON.stringify(membersOf(RAPID_CDN, { os: ['debian', '12.4', 'bookworm'] })),
  ];
  const entries = texts.map((text) => signer.sign(text));
  for (const entry of entries) await server.directory.add(KEY, entry);
  pairs = entries.map(({ pair }) => pair);
});

afterAll(() => server.stop());

function listOf({ body }: RawResponse): unknown {
  return JSON.parse(body.toString('utf8'));
}

describe('GET /bdir/<key>', () => {
  it('lists the pairs of the key, newest first, every text as it was signed', async () => {
    const response = await ask(server, `/bdir/${KEY}`);
    expect(response.status).toBe(200);
    expect(listOf(response)).toEqual(pairs.toReversed());
  });

  it('is JSON with a length, not to be used again without asking', async () => {
    const response = await ask(server, `/bdir/${KEY}`);
    expect(headerOf(response, 'Content-Type')).toBe('application/json');
    expect(headerOf(response, 'Content-Length')).toBe(String(response.body.length));
    expect(headerOf(response, 'Cache-Control')).toBe('no-cache');
    expect(headerOf(response, 'ETag')).toMatch(/^"[^"]+"$/);
  });

  it('answers 404 in words, with the key, when there is no entry', async () => {
    const response = await ask(server, `/bdir/${'0'.repeat(32)}`);
    expect(response.status).toBe(404);
    expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
    expect(response.body.toString()).toContain('0'.repeat(32));
  });

  it.each(['pypi:slapos.core=1.24', 'pypi:Zope=5.8+x.y', 'file-private:firmware', 'a:b,c;d@e!f~g(h)$i&j'])(
    'finds %s raw and percent-encoded',
    async (text) => {
      const key = parseKey(text);
      const entry = signer.sign(JSON.stringify({ sha512: '2f'.repeat(64), basename: text }));
      await server.directory.add(key, entry);
      for (const form of [text, encodeURIComponent(text), encodeURIComponent(text).toLowerCase()]) {
        if (decodeURIComponent(form) !== text) continue;
        const response = await ask(server, `/bdir/${form}`);
        expect(response.status, form).toBe(200);
        expect(listOf(response)).toEqual([entry.pair]);
      }
    },
  );

  it('finds a source by the key of its URL', async () => {
    const url = 'https://example.org/a.tar.gz';
    const entry = signer.sign(JSON.stringify({ sha512: '3f'.repeat(64), url }));
    await server.directory.add(keyOfFileUrl(url), entry);
    expect(listOf(await ask(server, `/bdir/${keyOfFileUrl(url)}`))).toEqual([entry.pair]);
  });

  it('tells keys apart that differ by upper and lower case alone', async () => {
    const entry = signer.sign(JSON.stringify({ sha512: '4f'.repeat(64), basename: 'x' }));
    await server.directory.add(parseKey('pypi:Case=1'), entry);
    expect((await ask(server, '/bdir/pypi:Case=1')).status).toBe(200);
    expect((await ask(server, '/bdir/pypi:case=1')).status).toBe(404);
  });

  it('takes keys of up to 160 characters; under a longer one there is none', async () => {
    const [longest, longer] = [`x:${'1'.repeat(158)}`, `x:${'1'.repeat(159)}`];
    expect((await ask(server, `/bdir/${longest}`)).status).toBe(404);
    expect((await ask(server, `/bdir/${longer}`)).status).toBe(404);
  });

  it.each(['.', '..', '%2e', '%2E%2e', 'a%2fb', 'a%20b', 'a%0ab', 'na%c3%afve', '%'])(
    'answers 400 for %s, which is no key',
    async (text) => {
      expect((await ask(server, `/bdir/${text}`)).status).toBe(400);
    },
  );

  // Three bytes each in the name of a folder, which ends at 255.
  it.each(['A', '*', ':', '%25'])(
    'has no length of key that the file system fails at: of %s',
    async (character) => {
      for (let length = 70; length <= 160; length++) {
        const { status } = await ask(server, `/bdir/x:${character.repeat(length)}`);
        expect(status, `${length} times`).toBe(404);
      }
    },
  );

  it('ignores a body, and the next request on the connection works', async () => {
    const connection = await RawConnection.open(server);
    const body = JSON.stringify({ padding: 'x'.repeat(100_000) });
    connection.request(`/bdir/${KEY}`, { headers: { 'Content-Length': String(body.length) }, body });
    expect(listOf(await connection.response())).toEqual(pairs.toReversed());
    connection.request(`/bdir/${'0'.repeat(32)}`);
    expect((await connection.response()).status).toBe(404);
    connection.destroy();
  });

  it('ignores a body that comes in chunks', async () => {
    const connection = await RawConnection.open(server);
    const headers = { 'Transfer-Encoding': 'chunked' };
    connection.request(`/bdir/${KEY}`, { headers, body: '5\r\nhello\r\n0\r\n\r\n' });
    expect((await connection.response()).status).toBe(200);
    connection.request(`/bdir/${KEY}`);
    expect((await connection.response()).status).toBe(200);
    connection.destroy();
  });

  it('shows an entry that comes while the server runs', async () => {
    const key = parseKey('pypi:late=1');
    expect((await ask(server, `/bdir/${key}`)).status).toBe(404);
    await server.directory.add(key, signer.sign(JSON.stringify({ sha512: '5f'.repeat(64) })));
    expect((await ask(server, `/bdir/${key}`)).status).toBe(200);
  });

  it('leaves out what is no entry', async () => {
    const key = parseKey('pypi:strays=1');
    const entry = signer.sign(JSON.stringify({ sha512: '6f'.repeat(64) }));
    await server.directory.add(key, entry);
    const folder = join(server.root, entriesPrefix(key));
    await writeFile(join(folder, '.DS_Store'), 'x');
    await mkdir(join(folder, 'folder'));
    expect(listOf(await ask(server, `/bdir/${key}`))).toEqual([entry.pair]);
  });
});

describe('HEAD /bdir/<key>', () => {
  it('has the head of GET and no body', async () => {
    const get = await ask(server, `/bdir/${KEY}`);
    const head = await ask(server, `/bdir/${KEY}`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    for (const name of ['Content-Type', 'Content-Length', 'Cache-Control', 'ETag'])
      expect(headerOf(head, name), name).toBe(headerOf(get, name));
  });

  it('answers 404 when there is no entry', async () => {
    expect((await ask(server, `/bdir/${'0'.repeat(32)}`, { method: 'HEAD' })).status).toBe(404);
  });
});
