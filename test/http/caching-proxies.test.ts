import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startPageServer } from '../fixtures/page-server.ts';
import { addRelease, keyOf } from '../operations/test-store.ts';
import { PROXIES, startCachingProxy } from './caching-proxy.ts';
import { lacks } from './outside-programs.ts';
import { ask, headerOf } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';

let signer: Signer;

beforeAll(async () => {
  signer = await createTestSigner();
});

async function start(): Promise<HttpServer> {
  const server = await startHttpServer();
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

describe.each(PROXIES)('behind %s', (program) => {
  it.skipIf(lacks(program))('what was asked for too early is found once it is there', async () => {
    const server = await start();
    const proxy = await startCachingProxy(program, server);
    const release = { url: 'https://example.com/software.cfg', content: 'bytes of a release' };
    const [entries, blob] = [`/bdir/${keyOf(release)}`, `/bcache/${digestOf(release.content)}`];
    for (const target of [entries, blob]) expect((await ask(proxy, target)).status).toBe(404);
    expect((await ask(proxy, '/bdir/')).body.toString()).toBe('');

    const first = await addRelease(server, signer, release);
    const list = await ask(proxy, entries);
    expect([list.status, JSON.parse(list.body.toString())]).toEqual([200, [first.pair]]);
    expect((await ask(proxy, blob)).body.toString()).toBe(release.content);
    expect((await ask(proxy, '/bdir/')).body.toString()).toBe(`${keyOf(release)}\n`);

    const second = await addRelease(server, signer, { ...release, content: 'a second build' });
    await expect
      .poll(async () => JSON.parse((await ask(proxy, entries)).body.toString()) as unknown, {
        timeout: 10_000,
      })
      .toEqual([second.pair, first.pair]);
  });

  it.skipIf(lacks(program))('a browser gets the page, also after another client asked at /', async () => {
    const server = await startPageServer();
    onTestFinished(async () => {
      await server.stop();
    });
    const proxy = await startCachingProxy(program, server);
    for (const [accept, type] of [
      ['*/*', 'text/plain; charset=UTF-8'],
      ['text/html', 'text/html; charset=UTF-8'],
      ['*/*', 'text/plain; charset=UTF-8'],
    ] as const)
      expect(headerOf(await ask(proxy, '/', { headers: { Accept: accept } }), 'Content-Type')).toBe(type);
  });

  it.skipIf(lacks(program))('health is that of now, and a blob comes from the proxy', async () => {
    const server = await start();
    const proxy = await startCachingProxy(program, server);
    const digest = await server.addBlob('kept by the proxy');
    for (let count = 0; count < 4; count++) expect((await ask(proxy, '/health')).status).toBe(200);
    // Each was answered by the server.
    expect(server.lines.filter(({ path }) => path === '/health')).toHaveLength(4);
    for (let count = 0; count < 3; count++) {
      const response = await ask(proxy, `/bcache/${digest}`);
      expect([response.status, response.body.toString()]).toEqual([200, 'kept by the proxy']);
      expect(headerOf(response, 'Cache-Control')).toMatch(/immutable/);
    }
    expect(server.lines.filter(({ path }) => path === `/bcache/${digest}`)).toHaveLength(1);
  });
});
