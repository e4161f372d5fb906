import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { bodyChunks } from '../../src/http/body-chunks.ts';

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
