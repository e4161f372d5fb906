import { describe, expect, it, onTestFinished } from 'vitest';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { testedHosts } from './outside-programs.ts';
import { ask, askRaw, RawConnection } from './raw-connection.ts';
import { StorageObserver } from './storage-observer.ts';

async function start(options?: HttpServerOptions): Promise<HttpServer> {
  const server = await startHttpServer(options);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

async function linesOf(server: HttpServer, count: number): Promise<HttpServer['lines']> {
  await expect.poll(() => server.lines.length).toBe(count);
  return server.lines;
}

describe('the line of a request', () => {
  it.each(testedHosts())('tells what was asked and what was answered, over %s', async (host) => {
    const server = await start({ host });
    const digest = await server.addBlob(incompressible(1_000_000));
    const { bytes } = await ask(server, `/bcache/${digest}?q=1`, { headers: { Range: 'bytes=5-' } });
    const [line] = await linesOf(server, 1);
    expect(line).toEqual({
      requestId: expect.stringMatching(/^[0-9a-z-]{3,}$/) as string,
      method: 'GET',
      path: `/bcache/${digest}?q=1`,
      status: 206,
      bytes,
      ms: expect.any(Number) as number,
      remote: host,
      aborted: false,
    });
    expect(line?.ms).toBeGreaterThanOrEqual(0);
  });

  it.each([
    ['/bcache/nothing', 'GET', 400],
    [`/bcache/${'ab'.repeat(64)}`, 'GET', 404],
    [`/bcache/${'ab'.repeat(64)}`, 'HEAD', 404],
    ['/bdir/pypi:a=1', 'GET', 404],
    ['/bdir/%', 'GET', 400],
    ['/', 'GET', 404],
    ['/health', 'GET', 200],
    ['/bcache/x', 'DELETE', 405],
    ['http://cache/health', 'GET', 200],
  ])('is written for %s %s: %i', async (path, method, status) => {
    const server = await start();
    const { bytes } = await ask(server, path, { method });
    expect(await linesOf(server, 1)).toMatchObject([{ path, method, status, bytes, aborted: false }]);
  });

  it.each([
    ['a Host that is none', 'GET /health HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n'],
    ['a backslash in the path', 'GET /\\ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
    ['a target of no path', 'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
  ])('is written for what is refused before anybody looks at it: %s', async (_what, bytes) => {
    const server = await start();
    const { status } = await askRaw(server, bytes);
    expect(await linesOf(server, 1)).toMatchObject([{ status, aborted: false }]);
  });

  it('has an id of its own, as the client is told it', async () => {
    const observer = new StorageObserver();
    const server = await start({ wrapStorage: observer.wrap });
    observer.beforeOpen = () => Promise.reject(new Error('broken'));
    for (let count = 0; count < 50; count++) await ask(server, `/bcache/${'ab'.repeat(64)}`);
    const ids = (await linesOf(server, 50)).map(({ requestId }) => requestId);
    expect(new Set(ids).size).toBe(50);
    const { body } = await ask(server, `/bcache/${'ab'.repeat(64)}`);
    expect(body.toString()).toContain(`request ${(await linesOf(server, 51)).at(-1)?.requestId ?? '?'}`);
  });

  it('counts the bytes of each answer of a connection by itself', async () => {
    const server = await start();
    const digest = await server.addBlob(incompressible(100_000));
    const connection = await RawConnection.open(server);
    const bytes: number[] = [];
    for (const method of ['GET', 'HEAD', 'GET']) {
      connection.request(`/bcache/${digest}`, { method });
      bytes.push((await connection.response(method)).bytes);
    }
    connection.destroy();
    expect((await linesOf(server, 3)).map((line) => line.bytes)).toEqual(bytes);
  });

  it('counts them right, too, when the requests were sent ahead', async () => {
    const server = await start();
    const digest = await server.addBlob(incompressible(100_000));
    const connection = await RawConnection.open(server);
    for (let count = 0; count < 3; count++) connection.request(`/bcache/${digest}`);
    const bytes: number[] = [];
    for (let count = 0; count < 3; count++) bytes.push((await connection.response()).bytes);
    connection.destroy();
    expect((await linesOf(server, 3)).map((line) => line.bytes)).toEqual(bytes);
  });
});

describe('a client that goes away', () => {
  it('is told of as such when it had a part', async () => {
    const server = await start();
    const size = 256 * 1024 * 1024;
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${await server.addSparseBlob(size)}`);
    await connection.head();
    connection.destroy();
    const [line] = await linesOf(server, 1);
    expect(line).toMatchObject({ status: 200, aborted: true });
    expect(line?.bytes).toBeLessThan(size);
    expect(server.failures).toEqual([]);
  });

  it('is told of with status 0 when no answer had begun, and leaves nothing open', async () => {
    const observer = new StorageObserver();
    const server = await start({ wrapStorage: observer.wrap });
    const digest = await server.addBlob('content');
    let openNow = (): void => undefined;
    const opening = new Promise<void>((resolve) => {
      observer.beforeOpen = () => {
        resolve();
        return new Promise((letIt) => (openNow = letIt));
      };
    });
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${digest}`);
    await opening;
    connection.reset();
    expect(await linesOf(server, 1)).toMatchObject([{ status: 0, bytes: 0, aborted: true }]);
    openNow();
    observer.beforeOpen = () => Promise.resolve();
    expect((await ask(server, `/bcache/${digest}`)).body.toString()).toBe('content');
    await expect.poll(() => observer.openObjects).toBe(0);
    expect(server.failures).toEqual([]);
  });
});
