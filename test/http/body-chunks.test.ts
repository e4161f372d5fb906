import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished, vi } from 'vitest';
import { startHttpServer } from '../fixtures/http-server.ts';
import { bodyChunks } from '../../src/http/body-chunks.ts';
import { RawConnection } from './raw-connection.ts';
import { temporaryFiles } from './upload-client.ts';

/** What one read of a connection holds, of chunks of one byte: `1\r\nx\r\n`. */
const CHUNKS_A_READ = (64 * 1024) / 6;

it('a body in tiny chunks waits at its client, not in memory, while nobody takes it', async () => {
  const sizes: number[] = [];
  let received = '';
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      for await (const chunks of bodyChunks(incoming)) {
        sizes.push(chunks.length);
        received += Buffer.concat(chunks).toString();
        await sleep(50);
      }
      outgoing.end('taken');
    })();
  }).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n');
  const letters = 'abcdefghij'.repeat(20_000);
  client.write(`${Array.from(letters, (letter) => `1\r\n${letter}\r\n`).join('')}0\r\n\r\n`);
  let answer = '';
  for await (const piece of client.setEncoding('latin1')) answer += String(piece);
  expect(answer).toMatch(/\r\n\r\n(5\r\n)?taken/);
  expect(received).toBe(letters);
  expect(Math.max(...sizes)).toBeLessThanOrEqual(1024 + CHUNKS_A_READ);
});

it('a body of a byte a minute is given up, and one of 1 KiB a second is not', async () => {
  const server = await startHttpServer({ parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }) });
  onTestFinished(async () => {
    vi.useRealTimers();
    await server.stop();
  });
  // Only what the program sets itself: the sockets' own timers are real.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  const [slow, steady] = await Promise.all([RawConnection.open(server), RawConnection.open(server)]);
  const pieces = 40;
  for (const [connection, length] of [
    [slow, 1000],
    [steady, pieces * 10 * 1024],
  ] as const) {
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': String(length) } });
    await vi.waitFor(async () => {
      expect(await temporaryFiles(server.root)).not.toEqual([]);
    }, 20_000);
  }
  const written = async (): Promise<readonly number[]> => {
    const names = await temporaryFiles(server.root);
    const sizes = await Promise.all(
      names.map((name) => stat(join(server.root, 'tmp', name)).catch(() => undefined)),
    );
    return sizes.map((stats) => stats?.size ?? 0);
  };
  let answer: number | undefined;
  void slow.response().then(({ status }) => (answer = status));
  for (let piece = 1; piece <= pieces; piece++) {
    steady.send(Buffer.alloc(10 * 1024, 'x'));
    if (piece < pieces) {
      await vi.waitFor(async () => {
        expect(await written()).toContain(piece * 10 * 1024);
      }, 20_000);
      if (piece % 6 === 0 && answer === undefined) slow.send('x');
      vi.advanceTimersByTime(10_000);
    }
  }
  expect((await steady.response()).status).toBe(201);
  await vi.waitFor(() => {
    expect(answer).toBe(400);
  }, 20_000);
  expect(await temporaryFiles(server.root)).toEqual([]);
});
