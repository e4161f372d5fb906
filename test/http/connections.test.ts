import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { testedHosts } from './outside-programs.ts';
import { ask, askRaw, headerOf, RawConnection } from './raw-connection.ts';

const CONTENT = 'content of a blob';
const MISSING = 'ab'.repeat(64);

describe.each(testedHosts())('on %s', (host) => {
  let server: HttpServer;
  let digest: Digest;

  beforeAll(async () => {
    server = await startHttpServer({
      host,
      parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
    });
    digest = await server.addBlob(CONTENT);
  });

  afterAll(() => server.stop());

  it('ends the connection when asked to, after the whole answer', async () => {
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${digest}`, { headers: { Connection: 'close' } });
    const response = await connection.response();
    expect(headerOf(response, 'Connection')).toBe('close');
    expect(response.body.toString()).toBe(CONTENT);
    expect(await connection.rest()).toHaveLength(0);
  });

  it('keeps the connection otherwise, also after an answer that is a refusal', async () => {
    const connection = await RawConnection.open(server);
    const targets = [`/bcache/${digest}`, `/bcache/${MISSING}`, '/bcache/x', '/nothing', '/health'];
    const statuses: number[] = [];
    for (const target of [...targets, ...targets]) {
      connection.request(target);
      statuses.push((await connection.response()).status);
    }
    expect(statuses).toEqual([200, 404, 400, 404, 200, 200, 404, 400, 404, 200]);
    connection.destroy();
  });

  it('answers requests in the order in which they were sent ahead', async () => {
    const connection = await RawConnection.open(server);
    const ranges = Array.from(CONTENT, (_character, index) => `bytes=${index}-${index}`);
    for (const range of ranges) connection.request(`/bcache/${digest}`, { headers: { Range: range } });
    let text = '';
    while (text.length < CONTENT.length) text += (await connection.response()).body.toString();
    expect(text).toBe(CONTENT);
    connection.destroy();
  });

  it('answers other kinds of requests that were sent ahead, uploads among them, in their order, too', async () => {
    const connection = await RawConnection.open(server);
    const body = 'b'.repeat(100_000);
    const targets = ['/health', `/bcache/${MISSING}`, '/bcache', `/bcache/${digest}`, '/nothing', '/bcache'];
    for (const target of targets) {
      const isUpload = target === '/bcache';
      connection.request(target, {
        method: isUpload ? 'POST' : 'GET',
        ...(isUpload ? { headers: { 'Content-Length': String(body.length) }, body } : {}),
      });
    }
    const statuses: number[] = [];
    while (statuses.length < targets.length) statuses.push((await connection.response()).status);
    expect(statuses).toEqual([200, 404, 201, 200, 404, 201]);
    connection.destroy();
  });

  it('takes a request that comes byte by byte', async () => {
    const connection = await RawConnection.open(server);
    for (const byte of `GET /bcache/${digest} HTTP/1.1\r\nHost: x\r\n\r\n`) connection.send(byte);
    expect((await connection.response()).body.toString()).toBe(CONTENT);
    connection.destroy();
  });

  it('tells an HTTP/1.0 client everything and ends the connection', async () => {
    const response = await askRaw(server, `GET /bcache/${digest} HTTP/1.0\r\nHost: x\r\n\r\n`);
    expect(response.status).toBe(200);
    expect(response.body.toString()).toBe(CONTENT);
    expect(headerOf(response, 'Transfer-Encoding')).toBeUndefined();
  });

  it('takes the absolute form of a target', async () => {
    for (const target of [
      `http://cache.example.org:5050/bcache/${digest}`,
      `http://cache.example.org/bcache/${digest}?x`,
      `https://[2001:db8::1]:5050/bcache/${digest}`,
      `HTTP://CACHE/bcache/${digest}`,
    ]) {
      const response = await ask(server, target);
      expect(response.status, target).toBe(200);
      expect(response.body.toString()).toBe(CONTENT);
    }
    for (const target of ['http://cache/../bcache/x', 'http://cache', 'http://cache?/bcache/x'])
      expect([400, 404]).toContain((await ask(server, target)).status);
  });

  describe('Host', () => {
    it('may be missing in HTTP/1.0, which does not know it', async () => {
      const response = await askRaw(server, `GET /bcache/${digest} HTTP/1.0\r\n\r\n`);
      expect(response.status).toBe(200);
      expect(response.body.toString()).toBe(CONTENT);
    });

    it('may not be missing in HTTP/1.1', async () => {
      const response = await askRaw(server, `GET /bcache/${digest} HTTP/1.1\r\nConnection: close\r\n\r\n`);
      expect(response.status).toBe(400);
    });

    it.each([
      'localhost',
      'CACHE.Example.Org:80',
      'cache.example.org.:5050',
      'my_cache:5050',
      'xn--mnchen-3ya.example',
      '192.168.32.10:5050',
      '[::1]:5050',
      // As people write them, and clients send them on: zeros spelled out, the zone of a link-local address.
      '[2001:0db8:0:0:0:0:0:1]:5050',
      '[0:0:0:0:0:0:0:1]:5050',
      '[FE80::1]',
      '[fe80::1%eth0]:5050',
      '[::ffff:127.0.0.1]:5050',
      // RFC 9112, 3.2: empty when the client has no authority to name.
      '',
    ])('is not looked at, because the service has one name only: "%s"', async (name) => {
      const response = await ask(server, `/bcache/${digest}`, { headers: { Host: name } });
      expect(response.status).toBe(200);
      expect(response.body.toString()).toBe(CONTENT);
    });

    it.each(['a b', 'a/b', 'x:99999', 'caf\xe9'])('does no harm when it is none: "%s"', async (name) => {
      const { status } = await ask(server, `/bcache/${digest}`, { headers: { Host: name } });
      expect([200, 400]).toContain(status);
    });
  });
});

describe('the end of a server', () => {
  async function startBusy(): Promise<{ server: HttpServer; connection: RawConnection }> {
    const server = await startHttpServer();
    onTestFinished(async () => {
      await server.stop();
    });
    return { server, connection: await RawConnection.open(server) };
  }

  it('does not wait for a connection that was kept for later', async () => {
    const { server, connection } = await startBusy();
    connection.request('/health');
    await connection.response();
    expect(await server.stop(3000)).toBe(0);
  });

  it('does not wait for a connection on which nothing was ever asked', async () => {
    const { server, connection } = await startBusy();
    // Whoever came later is served: the server has taken both.
    await ask(server, '/health');
    expect(await server.stop(3000)).toBe(0);
    connection.destroy();
  });

  it('does not wait for a request that never ends', async () => {
    const { server, connection } = await startBusy();
    connection.send('GET /health HTTP/1.1\r\nHost: x\r\nX-Slow');
    await ask(server, '/health');
    expect(await server.stop(3000)).toBe(0);
    connection.destroy();
  });

  it('breaks what still runs after its limit, and counts it', async () => {
    const { server, connection } = await startBusy();
    connection.request(`/bcache/${await server.addSparseBlob(256 * 1024 * 1024)}`);
    await connection.head();
    expect(await server.stop(100)).toBe(1);
    await expect(connection.discard(256 * 1024 * 1024)).rejects.toThrow();
  });
});
