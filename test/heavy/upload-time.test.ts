import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { say } from '../http/outside-programs.ts';
import { RawConnection } from '../http/raw-connection.ts';

const isHeavy = process.env['SHACACHE_HEAVY'] !== undefined;
if (!isHeavy) say('skipped here: waiting for limits of time, which takes 6 minutes; set SHACACHE_HEAVY=1');

async function start(): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** Sends a piece a second until there is none. */
function trickle(connection: RawConnection, next: () => string | undefined): void {
  const timer = setInterval(() => {
    const piece = next();
    if (piece === undefined) clearInterval(timer);
    else connection.send(piece);
  }, 1000);
  onTestFinished(() => {
    clearInterval(timer);
  });
}

describe.skipIf(!isHeavy)('slowness', () => {
  // The pace is the thing tested here: node's own limit on a request is 300 s, looked at every 30 s.
  // The least speed is 64 KiB in 120 s.
  it('of an upload does not matter above the least speed', { timeout: 420_000 }, async () => {
    const server = await start();
    const content = 'x'.repeat(345 * 1024);
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': String(content.length) } });
    let sent = 0;
    trickle(connection, () => (sent < 345 ? content.slice(1024 * sent, 1024 * ++sent) : undefined));
    const response = await connection.response();
    expect(response.body.toString()).toBe(digestOf(content));
    expect(response.status).toBe(201);
    connection.destroy();
  });

  it('of a head does: it is given up after a minute or two', { timeout: 180_000 }, async () => {
    const server = await start();
    const connection = await RawConnection.open(server);
    connection.send('POST /bcache HTTP/1.1\r\nHost: x\r\nX: ');
    trickle(connection, () => 'x');
    expect((await connection.response()).status).toBe(408);
    expect(await connection.rest()).toHaveLength(0);
    connection.destroy();
  });
});
