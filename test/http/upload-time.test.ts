import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { startHttpServer } from '../fixtures/http-server.ts';
import { ask, RawConnection } from './raw-connection.ts';

describe('limits of time', () => {
  it('are on the head and on silence, never on a whole upload', async () => {
    let server: Server | undefined;
    const onRequest = (message: unknown): void => {
      ({ server } = message as { server: Server });
    };
    subscribe('http.server.request.start', onRequest);
    onTestFinished(() => {
      unsubscribe('http.server.request.start', onRequest);
    });
    const own = await startHttpServer();
    onTestFinished(async () => {
      await own.stop();
    });
    await ask(own, '/health');
    // 0 is "no limit" for all of them; test/heavy/upload-time.test.ts waits for what they mean.
    expect(server?.requestTimeout).toBe(0);
    expect(server?.headersTimeout).toBe(60_000);
    expect(server?.timeout).toBe(120_000);
  });

  it('are back when an upload was answered, also for a request that was sent with it', async () => {
    const sockets: Socket[] = [];
    const onRequest = (message: unknown): void => {
      sockets.push((message as { socket: Socket }).socket);
    };
    subscribe('http.server.request.start', onRequest);
    onTestFinished(() => {
      unsubscribe('http.server.request.start', onRequest);
    });
    const server = await startHttpServer({
      parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
    });
    onTestFinished(async () => {
      await server.stop();
    });
    const target = `/bcache/${await server.addSparseBlob(2 ** 30)}`;
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': '1' }, body: 'x' });
    connection.request(target);
    expect((await connection.response()).status).toBe(201);
    expect((await connection.head()).status).toBe(200);
    expect(sockets[1]?.timeout).toBe(120_000);
    connection.destroy();
  });

  it('let a client trickle', async () => {
    const server = await startHttpServer({
      parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
    });
    onTestFinished(async () => {
      await server.stop();
    });
    const content = 'a body that comes byte by byte';
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': String(content.length) } });
    for (const byte of content) {
      connection.send(byte);
      // As slow as an answer to another request.
      await ask(server, '/health');
    }
    expect((await connection.response()).body.toString()).toBe(digestOf(content));
    connection.destroy();
  });
});
