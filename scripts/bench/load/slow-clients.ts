/**
 * A process of its own: many clients that download one URL, each at a rate of its own choosing, as nodes behind thin
 * lines do. A client that has everything begins again. Ends when it is killed, when its starter is gone, or after the
 * limit.
 */
import { connect, type Socket } from 'node:net';
import type { z } from 'zod';
import { slowOrder, type slowReport } from './own-clients.ts';

/** How often each client may read, in milliseconds; they take turns within this time. */
const TURN_MS = 100;
const SLICES = 10;
/** What wasn't used is saved up for no longer, in milliseconds: a server that stood still doesn't get a rush afterwards. */
const SAVING_MS = 500;

const { port, path, clients, rate, limitSeconds } = slowOrder.parse(JSON.parse(process.argv[2] ?? ''));

interface SlowClient {
  readonly socket: Socket;
  /** Bytes that it may read now; negative after it read more than its share. */
  allowance: number;
  /** When it was last given some, milliseconds of `performance.now()`. */
  granted: number;
  received: number;
}

let bytes = 0;
const all: SlowClient[] = Array.from({ length: clients }, (_, index) => open(index));

let slice = 0;
setInterval(() => {
  slice = (slice + 1) % SLICES;
  for (let index = slice; index < clients; index += SLICES) grant(all[index]);
}, TURN_MS / SLICES);
setInterval(report, 1000);
setTimeout(() => process.exit(0), limitSeconds * 1000);
process.stdout.on('error', () => process.exit(1));

function open(index: number): SlowClient {
  const socket = connect(port, '127.0.0.1');
  const client: SlowClient = { socket, allowance: 0, granted: performance.now(), received: 0 };
  socket.write(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: close\r\n\r\n`);
  socket.pause();
  socket.on('data', (chunk) => {
    bytes += chunk.length;
    client.received += chunk.length;
    client.allowance -= chunk.length;
    if (client.allowance <= 0) socket.pause();
  });
  socket.once('end', () => {
    all[index] = open(index);
  });
  socket.once('error', (error) => {
    process.stderr.write(`slow client ${index}: ${error.message}\n`);
    process.exit(1);
  });
  return client;
}

function grant(client: SlowClient | undefined): void {
  if (client === undefined) return;
  // By the clock: on a busy machine timers come late.
  const now = performance.now();
  const share = (rate * (now - client.granted)) / 1000;
  client.granted = now;
  client.allowance = Math.min((rate * SAVING_MS) / 1000, client.allowance + share);
  if (client.allowance > 0) client.socket.resume();
}

function report(): void {
  const state: z.infer<typeof slowReport> = {
    served: all.filter(({ received }) => received > 0).length,
    bytes,
    at: performance.now(),
  };
  process.stdout.write(`${JSON.stringify(state)}\n`);
}
