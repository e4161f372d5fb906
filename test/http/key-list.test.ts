import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { entriesPrefix } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection } from './raw-connection.ts';
import { upload } from './upload-client.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

async function start(options?: HttpServerOptions): Promise<HttpServer> {
  const server = await startHttpServer(options);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/**
 * A storage in which there are the names of many keys' entries, which nobody wrote: a list of keys reads none of them.
 * @param onList called before each name is listed
 * @param onEnd called when no more are asked for: a folder on a disk is closed then
 */
function withManyKeys(
  count: number,
  onList: (index: number) => void = () => undefined,
  onEnd: () => void = () => undefined,
) {
  return (storage: ObjectStorage): ObjectStorage => ({
    ...storage,
    list: (prefix) => (prefix === 'bdir/' ? names() : storage.list(prefix)),
  });

  async function* names(): AsyncGenerator<string> {
    try {
      for (let index = 0; index < count; index++) {
        onList(index);
        yield await Promise.resolve(`bdir/${index.toString(16).padStart(32, '0')}/${'0'.repeat(128)}`);
      }
    } finally {
      onEnd();
    }
  }
}

describe('GET /bdir/', () => {
  it('lists every key once, one a line, as it is and not as its folder is named', async () => {
    const server = await start();
    const odd = parseKey('pypi:Odd_Name=1.0');
    for (const os of ['ubuntu', 'debian'])
      await server.directory.add(KEY, unsignedEntry(membersOf(RAPID_CDN, { os: [os, '1', 'x'] })));
    await server.directory.add(odd, unsignedEntry({ sha512: membersOf(RAPID_CDN)['sha512'] }));
    await mkdir(join(server.root, 'bdir', 'a stray'));
    await writeFile(join(server.root, 'bdir', 'a stray', 'file'), '');
    for (const target of ['/bdir/', '/bdir']) {
      const response = await ask(server, target);
      expect(response.status).toBe(200);
      expect(headerOf(response, 'Content-Type')).toBe('text/plain');
      expect(headerOf(response, 'Cache-Control')).toBe('no-cache');
      expect(response.body.toString()).toMatch(/^([^\n]+\n)+$/);
      expect(response.body.toString().trim().split('\n').sort()).toEqual([KEY, odd].sort());
    }
  });

  it('is empty in a store without entries', async () => {
    const response = await ask(await start(), '/bdir/');
    expect([response.status, response.body.length]).toEqual([200, 0]);
  });

  it('sends a list that is longer than a piece, whole', async () => {
    const server = await start({ wrapStorage: withManyKeys(10_000) });
    const lines = (await ask(server, '/bdir/')).body.toString().split('\n');
    expect(lines).toHaveLength(10_001);
    expect(new Set(lines).size).toBe(10_001);
  });

  it('stops when the client goes away', async () => {
    let listed = 0;
    const server = await start({ wrapStorage: withManyKeys(10_000_000, () => listed++) });
    const connection = await RawConnection.open(server);
    connection.request('/bdir/');
    await connection.head();
    connection.destroy();
    // Its end waits for what is being answered.
    expect(await server.stop()).toBe(0);
    expect(listed).toBeLessThan(10_000_000);
  });

  it('answers HEAD without the list, and no other method', async () => {
    const server = await start();
    await server.directory.add(KEY, unsignedEntry(membersOf(RAPID_CDN)));
    const head = await ask(server, '/bdir/', { method: 'HEAD' });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    for (const method of ['PUT', 'POST'] as const) {
      const response = await upload(server, '{}', { method: method, target: '/bdir/' });
      expect(response.status).toBe(405);
      expect(headerOf(response, 'Allow')).toBe('GET, HEAD');
    }
  });

  it('leaves no folder open, whether the list is sent, left or only asked about', async () => {
    let open = 0;
    const opening = (count: number) =>
      start({
        wrapStorage: withManyKeys(
          count,
          (index) => (open += index === 0 ? 1 : 0),
          () => open--,
        ),
      });
    const server = await opening(10_000);
    for (const method of ['HEAD', 'GET']) {
      await ask(server, '/bdir/', { method });
      expect(open, method).toBe(0);
    }
    const connection = await RawConnection.open(await opening(10_000_000));
    connection.request('/bdir/');
    await connection.head();
    expect(open).toBe(1);
    connection.destroy();
    await expect.poll(() => open).toBe(0);
  });

  it('is for those who may read', async () => {
    const server = await start({
      parts: (usual) => ({
        ...usual,
        access: {
          anonymous: undefined,
          withPassword: (name, password) =>
            Promise.resolve(password === 'x' ? { name, role: 'read' as const } : undefined),
        },
      }),
    });
    for (const method of ['GET', 'HEAD']) expect((await ask(server, '/bdir/', { method })).status).toBe(401);
    const headers = { Authorization: `Basic ${Buffer.from('alice:x').toString('base64')}` };
    expect((await ask(server, '/bdir/', { headers })).status).toBe(200);
  });

  it('of a disk that fails is a fault, and broken off where it has begun', async () => {
    let good = 0;
    const server = await start({
      wrapStorage: withManyKeys(10_000, (index) => {
        if (index >= good) throw new CacheError('storage', 'the disk fails');
      }),
    });
    for (const method of ['GET', 'HEAD']) expect((await ask(server, '/bdir/', { method })).status).toBe(500);
    good = 5000;
    const connection = await RawConnection.open(server);
    connection.request('/bdir/');
    expect((await connection.head()).status).toBe(200);
    const rest = (await connection.rest()).toString('latin1');
    // The last chunk, which says that this is all, never comes.
    expect(rest).toMatch(/[0-9a-f]{32}\n/);
    expect(rest.endsWith('0\r\n\r\n')).toBe(false);
    expect(server.failures).toHaveLength(3);
  });

  it('of keys whose entries are damaged lists them all the same', async () => {
    const server = await start();
    const path = join(server.root, entriesPrefix(KEY), '0'.repeat(128));
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, 'damaged');
    expect((await ask(server, '/bdir/')).body.toString()).toBe(`${KEY}\n`);
  });
});
