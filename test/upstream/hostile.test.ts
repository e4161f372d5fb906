import { spawn } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { collect } from '../fixtures/collect.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { lacks } from '../http/outside-programs.ts';
import { download, upstreamOf } from './upstream-of.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const DIGEST = digestOf('archive\n');
const MIB = 1024 * 1024;
/** So that a drop comes often enough to be no silence. */
const IMPATIENCE = { idleLimit: 1000 };

/** Sends something again and again, until the other side goes away. */
function drip(to: ServerResponse | Socket, drop: string): void {
  const timer = setInterval(() => to.write(drop), 20);
  to.on('close', () => {
    clearInterval(timer);
  });
}

/** Answers each connection with bytes that are no answer of node's making. */
async function startRawServer(answer: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      answer(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a list of entries', () => {
  it('of a whole list size of numbers is refused before each is looked at', async () => {
    const body = Buffer.concat([Buffer.from('[1'), Buffer.alloc(64 * MIB - 4, ',1'), Buffer.from(']')]);
    const upstream = await startScriptedServer((_request, response) => response.end(body));
    await expectCacheError(
      upstreamOf(upstream.url).entries(KEY),
      'unavailable',
      /answered more than \d+ bytes/,
    );
    const smaller = await startScriptedServer((_request, response) =>
      response.end(Buffer.concat([body.subarray(0, 8 * MIB), Buffer.from('1]')])),
    );
    await expectCacheError(
      upstreamOf(smaller.url).entries(KEY),
      'unavailable',
      /lists \d+ entries for one key; the limit is 10000$/,
    );
  });

  it('that drips is given up', async () => {
    const upstream = await startScriptedServer((_request, response) => {
      drip(response.writeHead(200), ' ');
    });
    await expectCacheError(
      upstreamOf(upstream.url, IMPATIENCE).entries(KEY),
      'unavailable',
      /less than 128 KiB came within 1 s; tried 3 times$/,
    );
  });

  it('that is encoded, which nobody asked for, is told as that', async () => {
    const upstream = await startScriptedServer((_request, response) =>
      response.writeHead(200, { 'Content-Encoding': 'gzip' }).end(Buffer.alloc(100)),
    );
    await expectCacheError(
      upstreamOf(upstream.url).entries(KEY),
      'unavailable',
      /answered in the encoding "gzip", which was not requested$/,
    );
  });
});

describe('the head of an answer', () => {
  it.each([
    ['drips', 'HTTP/1.1 200 OK\r\nX-', 'x'],
    ['is announced again and again', '', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
    ['never ends', 'HTTP/1.1 200 OK\r\n', 'X: y\r\n'],
  ])('that %s is given up, whatever is asked', async (_what, begin, drop) => {
    const url = await startRawServer((socket) => {
      socket.write(begin);
      drip(socket, drop);
    });
    const upstream = upstreamOf(url, { ...IMPATIENCE, patience: { attempts: 1, firstDelay: 0 } });
    await Promise.all(
      [
        () => upstream.entries(KEY),
        () => upstream.blobSize(DIGEST),
        () => collect(upstream.keys()),
        () => download(upstream, DIGEST),
        () => upstream.putEntry(KEY, ['{}', '']),
      ].map((ask) => expectCacheError(ask, 'unavailable', /no answer came within 1 s$/)),
    );
  });
});

describe('a list of keys', () => {
  it('that drips is given up', async () => {
    const upstream = await startScriptedServer((_request, response) => {
      drip(response.writeHead(200, { 'Content-Type': 'text/plain' }), `${KEY}\n`);
    });
    await expectCacheError(
      collect(upstreamOf(upstream.url, IMPATIENCE).keys()),
      'unavailable',
      /less than 128 KiB came within 1 s/,
    );
  });
});

describe('a blob', () => {
  it('that drips is given up, although each drop is progress', async () => {
    const upstream = await startScriptedServer((request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
      const total = String(100 * MIB);
      const headers = { 'Content-Length': String(100 * MIB - start) };
      if (start === 0) response.writeHead(200, headers);
      else
        response.writeHead(206, { ...headers, 'Content-Range': `bytes ${start}-${100 * MIB - 1}/${total}` });
      drip(response, 'x');
    });
    await expectCacheError(
      download(upstreamOf(upstream.url, IMPATIENCE), DIGEST),
      'unavailable',
      /less than 128 KiB came within 1 s, after \d+ of 104857600 bytes; tried 3 times$/,
    );
  });

  it.each([206, 200])('that goes on after its end when it is resumed is cut there (%d)', async (status) => {
    const upstream = await startScriptedServer((request, response) => {
      if (request.headers.range === undefined) {
        response.writeHead(200, { 'Content-Length': '1000' });
        response.write('x'.repeat(500), () => response.destroy());
        return;
      }
      response.writeHead(status, status === 206 ? { 'Content-Range': 'bytes 500-999/1000' } : {});
      const fill = (): void => {
        while (response.write(Buffer.alloc(MIB)));
        response.once('drain', fill);
      };
      fill();
    });
    await expectCacheError(
      download(upstreamOf(upstream.url), DIGEST),
      'unavailable',
      /sent more than the announced 1000 bytes$/,
    );
  });

  it('that is not there holds nobody up by what is said about it', async () => {
    const closed: Promise<void>[] = [];
    const upstream = await startScriptedServer((_request, response) => {
      closed.push(new Promise((resolve) => response.on('close', resolve)));
      drip(response.writeHead(404, { 'Content-Length': '4000' }), 'x');
    });
    expect(await upstreamOf(upstream.url).openBlob(DIGEST)).toBeUndefined();
    await Promise.all(closed);
  });
});

/** Reads uploads at 20 KiB a second. Its segments are small, so that the system takes them from the sender in small steps, too. */
const SLOW_READER = `
import socket, threading, time
def serve(connection):
    connection.recv(65536)
    connection.send(b'HTTP/1.1 100 Continue\\r\\n\\r\\n')
    while connection.recv(1024): time.sleep(0.05)
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
listener.bind(('127.0.0.1', 0))
listener.listen()
print(listener.getsockname()[1], flush=True)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
`;

it.skipIf(lacks('python3'))(
  'a server that reads an upload slowly is given up, although it never stops',
  async () => {
    const reader = spawn('python3', ['-c', SLOW_READER], { stdio: ['ignore', 'pipe', 'inherit'] });
    onTestFinished(() => void reader.kill('SIGKILL'));
    const [port] = (await once(reader.stdout, 'data')) as [Buffer];
    const upload = upstreamOf(`http://127.0.0.1:${String(port).trim()}`, {
      idleLimit: 2000,
      patience: { attempts: 1, firstDelay: 0 },
    }).putBlob(DIGEST, () =>
      Promise.resolve({
        size: 64 * MIB,
        pieces: (async function* () {
          for (let count = 0; count < 64; count++) yield Promise.resolve(Buffer.alloc(MIB));
        })(),
        close: () => Promise.resolve(),
      }),
    );
    const fault = /\/bcache\/\w+: less than 128 KiB were taken within 2 s$/;
    await expectCacheError(upload, 'unavailable', fault);
  },
);

it.each([
  ['after the upload', false],
  ['before its end', true],
])(
  'a server that refuses an upload %s, and stops in the middle of its answer, holds nobody up',
  async (_when, isEarly) => {
    const upstream = await startScriptedServer((request, response) => {
      const refuse = (): void => {
        response.writeHead(400, { 'Content-Type': 'text/plain', 'Content-Length': '100' }).write('because');
      };
      request.resume().once(isEarly ? 'data' : 'end', refuse);
    });
    const answered = new Promise<void>((resolve) => {
      const seen = (): void => {
        resolve();
      };
      subscribe('http.client.response.finish', seen);
      onTestFinished(() => void unsubscribe('http.client.response.finish', seen));
    });
    await expectCacheError(
      upstreamOf(upstream.url, IMPATIENCE).putBlob(DIGEST, () =>
        Promise.resolve({
          size: 8,
          pieces: (async function* () {
            yield Promise.resolve(Buffer.from('archive\n'));
            if (isEarly) await answered;
          })(),
          close: () => Promise.resolve(),
        }),
      ),
      'digest-mismatch',
      /answered 400 Bad Request$/,
    );
  },
);

it('no more than a few connections are opened for many questions', async () => {
  const connections = new Set<Socket>();
  const upstream = await startScriptedServer(({ socket }, response) => {
    connections.add(socket);
    response.writeHead(200, { 'Content-Length': '1' }).end();
  });
  const client = upstreamOf(upstream.url);
  const digests = Array.from({ length: 300 }, (_, index) => digestOf(String(index)));
  const sizes = await Promise.all(digests.map((digest) => client.blobSize(digest)));
  expect(new Set(sizes)).toEqual(new Set([1]));
  expect(connections.size).toBeLessThanOrEqual(8);
});
