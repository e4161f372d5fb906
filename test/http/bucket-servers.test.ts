import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { appendFile, readdir, writeFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parseKey } from '../../src/cache/key.ts';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { makeStore, openStore } from '../../src/storage/open-store.ts';
import { useBucket } from '../fixtures/bucket.ts';
import { addGateway, hasEngine, ON_ENGINE } from '../fixtures/ceph.ts';
import { type FaultyProxy, startFaultyProxy } from '../fixtures/faulty-proxy.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { makePairByOpenssl, signerOf } from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache } from '../cli/command.ts';
import { serveFrom } from '../cli/served.ts';
import { ask, headerOf, RawConnection } from './raw-connection.ts';

/** Of apr1, "pässwörd". */
const USERS = 'builder:$apr1$eB6.gAwN$9y/GkscnK3tH8JFLzhGSJ1\n';
const place = useBucket();
let proxy: FaultyProxy;
let folder: string;
let signer: Signer;

beforeEach(async () => {
  if (!hasEngine) return;
  folder = await temporaryFolder();
  signer = signerOf(await makePairByOpenssl(folder, 'sign'));
  const { engine, url } = place;
  proxy = await startFaultyProxy(engine.endpoint);
  await makeStore(url, { access: engine });
  await configure('config.ini', proxy.endpoint);
});

/** @param keys more lines of `[store]` */
function configure(name: string, endpoint: string, keys = ''): Promise<void> {
  const { id, secret } = place.engine.key;
  const store = `url = ${place.url}\nendpoint = ${endpoint}\naccess-key-id = ${id}\nsecret-access-key = ${secret}\n${keys}`;
  return writeFile(join(folder, name), `[store]\n${store}\n[access]\nanonymous = upload\n`);
}

const serve = async (config = 'config.ini'): Promise<string> => (await serveFrom(folder, '-c', config)).url;

function pairFor(sha512: string, version: number): VerifiedEntry['pair'] {
  const text = JSON.stringify({ sha512, version });
  return signer.sign(text).pair;
}

async function put(url: string, body: Uint8Array | string): Promise<number> {
  const answer = await fetch(url, { method: 'PUT', body });
  await answer.arrayBuffer();
  return answer.status;
}

describe.skipIf(!hasEngine)(`servers on one bucket${ON_ENGINE}`, () => {
  it(
    'lose and double nothing of what many write at once, also while gc runs',
    { timeout: 300_000 },
    async () => {
      // The second one, and gc, reach the same objects by another gateway.
      await configure('other.ini', await addGateway(place.engine));
      const [one, two] = [await serve(), await serve('other.ini')];
      const bytes = randomBytes(18_000_000);
      const blob = digestOf(bytes);
      const key = parseKey('file-private:firmware');
      const versions = Array.from({ length: isHeavy ? 50 : 12 }, (_, version) => version);
      const writing = new AbortController();
      const collecting = async (): Promise<void> => {
        while (!writing.signal.aborted) {
          const { code, stderr } = await runCache(
            folder,
            'gc',
            '-c',
            'other.ini',
            '--unnamed',
            '--allow-empty',
          );
          expect([code, stderr]).toEqual([0, expect.anything()]);
        }
      };
      const writer = async (index: number): Promise<void> => {
        const server = index % 2 === 0 ? one : two;
        expect(await put(`${server}/bcache/${blob}`, bytes)).toBe(201);
        // Each entry comes from two writers.
        for (const version of versions.filter((each) => each % 4 === index % 4))
          expect(await put(`${server}/bdir/${key}`, JSON.stringify(pairFor(blob, version)))).toBe(201);
      };
      const writers = Promise.all(Array.from({ length: 8 }, (_, index) => writer(index))).finally(() => {
        writing.abort();
      });
      await Promise.all([writers, collecting()]);
      for (const server of [one, two]) {
        const found = (await (await fetch(`${server}/bdir/${key}`)).json()) as [string, string][];
        const texts = found.map(([text]) => (JSON.parse(text) as { version: number }).version);
        expect(texts.sort((a, b) => a - b)).toEqual(versions);
        const got = await fetch(`${server}/bcache/${blob}`);
        expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
      }
      expect(await runCache(folder, 'verify', '-c', 'config.ini', '--deep')).toMatchObject({ code: 0 });
    },
  );

  it('ask for the list of a key at most once a second, whatever the load', async () => {
    // By another writer: the index of the server reads its own changes again.
    const store = await openStore(place.url, { mode: 'write', access: place.engine });
    const text = JSON.stringify({ sha512: digestOf(Buffer.from('x')), version: 1 });
    await store.directory.add(parseKey('some-key'), signer.sign(text));
    const server = await serve();
    const lists = (): number =>
      proxy.requests.filter((text) => text.includes('list-type=2') && text.includes('some-key')).length;
    // The first list is read, too; meanwhile others may list.
    expect((await fetch(`${server}/bdir/some-key`)).status).toBe(200);
    const [before, began] = [lists(), Date.now()];
    let count = 0;
    while (Date.now() - began < 2500 || count <= 50) {
      const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(`${server}/bdir/some-key`)));
      for (const answer of answers) expect(await answer.json()).toHaveLength(1);
      count += answers.length;
    }
    expect(lists() - before).toBeLessThanOrEqual(Math.ceil((Date.now() - began) / 900) + 1);
  });

  it('serve no wrong byte as a complete blob', async () => {
    const server = await serve();
    const bytes = randomBytes(3_000_000);
    const blob = digestOf(bytes);
    expect(await put(`${server}/bcache/${blob}`, bytes)).toBe(201);
    for (const flip of [0, 1_000_000]) {
      proxy.faultOf = (text) => (text.startsWith('GET') && text.includes('bcache') ? { flip } : undefined);
      const curl = promisify(execFile)('curl', [
        '-sf',
        '-o',
        join(folder, 'got'),
        `${server}/bcache/${blob}`,
      ]);
      await expect(curl).rejects.toThrow();
    }
    proxy.faultOf = () => undefined;
    const got = await fetch(`${server}/bcache/${blob}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('end the read at the engine when the client has gone', async () => {
    const server = await serve();
    const bytes = randomBytes(60_000_000);
    const blob = digestOf(bytes);
    expect(await put(`${server}/bcache/${blob}`, bytes)).toBe(201);
    const before = proxy.bytes;
    for (let client = 0; client < 5; client++) {
      // As a node that only looks whether the blob is there.
      const answer = await fetch(`${server}/bcache/${blob}`);
      await answer.body?.cancel();
    }
    await expect.poll(() => proxy.answering).toBe(0);
    expect(proxy.bytes - before).toBeLessThan(5 * 0.5 * bytes.length);
  });

  it('take 64 uploads at a time, and half of them from one client', async () => {
    await writeFile(join(folder, 'htpasswd'), USERS);
    await configure('users.ini', proxy.endpoint);
    await appendFile(join(folder, 'users.ini'), 'htpasswd-file = htpasswd\n');
    const { hostname, port } = new URL(await serve('users.ini'));
    const place = { host: hostname, port: Number(port) };
    const begin = async (number: number): Promise<RawConnection> => {
      const connection = await RawConnection.open(place);
      connection.request('/bcache', {
        method: 'POST',
        headers: { 'Content-Length': '9' },
        body: `${number}`,
      });
      return connection;
    };
    const unfinished = await Promise.all(Array.from({ length: 32 }, (_, number) => begin(number)));
    const post = (headers = {}) =>
      ask(place, '/bcache', { method: 'POST', headers: { 'Content-Length': '1', ...headers }, body: 'x' });
    await expect.poll(async () => (await post()).status).toBe(429);
    const refused = await post();
    expect(refused.body.toString()).toMatch(/^32 uploads of this client are not finished; try again later$/m);
    expect(headerOf(refused, 'Retry-After')).toBe('16');
    const authorization = `Basic ${Buffer.from('builder:pässwörd').toString('base64')}`;
    expect((await post({ Authorization: authorization })).status).toBe(201);
    unfinished[0]?.send('12345678');
    expect((await unfinished[0]?.response())?.status).toBe(201);
    await expect.poll(async () => (await post()).status).toBe(201);
    for (const connection of unfinished) connection.destroy();
    await expect.poll(async () => (await post()).status).toBe(201);
  });

  it('keep their connections, and open a bounded number of them', async () => {
    const server = await serve();
    const lookUp = (number: number): Promise<Response> => fetch(`${server}/bdir/key-${number}`);
    const answers = await Promise.all(Array.from({ length: 400 }, (_, number) => lookUp(number)));
    for (const { status } of answers) expect(status).toBe(404);
    expect(proxy.requests.length).toBeGreaterThan(400);
    const { most, all } = proxy.connections;
    // 64 for requests, and some for those that keep a connection: reads, and copies.
    expect(most).toBeLessThanOrEqual(72);
    for (let round = 0; round < 5; round++) await lookUp(round);
    expect(proxy.connections.all).toBe(all);
  });

  it('serve blobs of the bucket from their local cache', async () => {
    await configure('cached.ini', proxy.endpoint, 'local-cache = copies\nlocal-cache-size = 100M');
    // Several servers share it.
    const [one, two] = [await serve('cached.ini'), await serve('cached.ini')];
    const bytes = randomBytes(3_000_000);
    const path = `bcache/${digestOf(bytes)}`;
    expect(await put(`${one}/${path}`, bytes)).toBe(201);
    const get = async (server: string, range = 'bytes=0-'): Promise<Buffer> => {
      const answer = await fetch(`${server}/${path}`, { headers: { Range: range } });
      return Buffer.from(await answer.arrayBuffer());
    };
    expect((await get(one)).equals(bytes)).toBe(true);
    await expect.poll(() => readdir(join(folder, 'copies/bcache'))).toEqual([digestOf(bytes)]);
    const asked = (): number => proxy.requests.filter((text) => /^GET .*bcache/.test(text)).length;
    const askedFor = async (server: string): Promise<number> => {
      const before = asked();
      expect((await get(server, 'bytes=5-9')).equals(bytes.subarray(5, 10))).toBe(true);
      expect((await get(server)).equals(bytes)).toBe(true);
      return asked() - before;
    };
    await expect.poll(() => askedFor(one)).toBe(0);
    // A server takes a copy of another after it has compared the bytes.
    await expect.poll(() => askedFor(two)).toBe(0);
    expect(await (await fetch(`${one}/metrics`)).text()).toMatch(
      /^shacache_local_cache_opened_total\{result="hit"\} [1-9]/m,
    );
    await place.raw.remove(path);
    await expect.poll(async () => (await fetch(`${one}/${path}`)).status).toBe(404);
  });

  it.each(['', 'local-cache = copies'])('answer HEAD as GET if a blob cannot be read (%s)', async (keys) => {
    await configure('config.ini', proxy.endpoint, keys);
    const server = await serve();
    const bytes = randomBytes(2_000_000);
    const path = `${server}/bcache/${digestOf(bytes)}`;
    expect(await put(path, bytes)).toBe(201);
    expect((await fetch(path, { method: 'HEAD' })).status).toBe(200);
    // The engine still says that it has the blob.
    proxy.faultOf = (request) =>
      /^GET .*\/bcache\//.test(request) ? { answer: { status: 403, code: 'AccessDenied' } } : undefined;
    for (const method of ['GET', 'HEAD'])
      await expect
        .poll(async () => `${method} ${(await fetch(path, { method })).status}`)
        .toBe(`${method} 500`);
  });

  it('answer 503 while the object store is away, and go on when it is back', async () => {
    const server = await serve();
    proxy.faultOf = () => ({ answer: { status: 503, code: 'ServiceUnavailable' } });
    for (const path of ['/bdir/some-key', `/bcache/${'0'.repeat(128)}`])
      expect((await fetch(server + path)).status, path).toBe(503);
    proxy.faultOf = () => undefined;
    for (const path of ['/bdir/some-key', `/bcache/${'0'.repeat(128)}`])
      expect((await fetch(server + path)).status, path).toBe(404);
  });
});
