/**
 * A process of its own: sends requests over a number of connections for a time, and throws the answers away.
 * curl's buffer is 100 KiB, wrk's 8 KiB; against a server that sends 2 GB/s the client should not be what is measured.
 */
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { drainOrder, type drainReport } from './own-clients.ts';
import { createResponseReader } from './response-reader.ts';
import type { z } from 'zod';

/** In bytes; larger ones fall out of the processor's cache and are slower. */
const BUFFER_SIZE = 256 * 1024;

const { port, requestsFile, connections, seconds } = drainOrder.parse(JSON.parse(process.argv[2] ?? ''));
const requests = readFileSync(requestsFile, 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => {
    const [method = '', path = '', header = ''] = line.split('\t');
    return `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${header === '' ? '' : `${header}\r\n`}\r\n`;
  });

// Every read is looked at before the next one begins: one buffer serves all connections.
const buffer = Buffer.alloc(BUFFER_SIZE);
let bytes = 0;
let answered = 0;
const begin = performance.now();
const cpuBefore = process.cpuUsage();
for (let index = 0; index < connections; index++) open(index);
setTimeout(report, seconds * 1000);
process.once('uncaughtException', fail);

function open(first: number): void {
  let next = first;
  const reader = createResponseReader(() => {
    answered++;
    send();
  });
  const send = (): void => void socket.write(requests[next++ % requests.length] ?? '');
  const socket = connect({
    host: '127.0.0.1',
    port,
    onread: {
      buffer,
      callback: (count) => {
        bytes += count;
        reader.take(buffer.subarray(0, count));
        return true;
      },
    },
  });
  socket.once('connect', send);
  socket.once('error', fail);
  socket.once('end', () => {
    fail(new Error(`port ${port} closed a connection after ${answered} answers`));
  });
}

function report(): void {
  const { user, system } = process.cpuUsage(cpuBefore);
  const result: z.infer<typeof drainReport> = {
    bytes,
    requests: answered,
    seconds: (performance.now() - begin) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}

function fail(error: Error): void {
  process.stderr.write(`${error.message}\n`, () => process.exit(1));
}
