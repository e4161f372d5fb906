import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { startCuttingProxy } from '../http/cutting-proxy.ts';
import { lacks } from '../http/outside-programs.ts';
import { download, HASTY, upstreamOf } from './upstream-of.ts';

const CONTENT = incompressible(3_000_000);
const DIGEST = digestOf(CONTENT);

let server: HttpServer;

beforeAll(async () => {
  server = await startHttpServer();
  await server.addBlob(CONTENT);
});

afterAll(() => server.stop());

/** A server that breaks the connection after the head and `bytes` bytes of the body. */
function breakAfter(response: ServerResponse, bytes: number, headers: Record<string, string> = {}): void {
  response.writeHead(200, headers);
  response.write(CONTENT.subarray(0, bytes), () => response.destroy());
}

/** What `Range: bytes=N-` asks for. */
function startOf({ headers }: IncomingMessage): number {
  return Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? 0);
}

describe('a download', () => {
  it('gives the bytes and the size of a blob', async () => {
    const blob = await upstreamOf(server.url).openBlob(DIGEST);
    expect(blob?.size).toBe(CONTENT.length);
    await blob?.close();
    expect(await download(upstreamOf(server.url), DIGEST)).toBe(DIGEST);
    expect(await download(upstreamOf(server.url), digestOf('none'))).toBeUndefined();
  });

  it('is taken up again where the connection broke, as often as something comes', async () => {
    const proxy = await startCuttingProxy(server, { bytes: 300_000, times: 6 });
    expect(await download(upstreamOf(proxy.url), DIGEST)).toBe(DIGEST);
    expect(proxy.cuts()).toBe(6);
    const ranges = server.lines.slice(-7).map(({ status }) => status);
    expect(ranges).toEqual([200, 206, 206, 206, 206, 206, 206]);
  });

  it('names the version that it has part of, and skips what it has when it gets another answer than that', async () => {
    const upstream = await startScriptedServer((request, response) => {
      if (request.headers.range === undefined) {
        breakAfter(response, 500_000, {
          'Content-Length': String(CONTENT.length),
          ETag: '"first"',
        });
      } else response.writeHead(200, { ETag: '"second"' }).end(CONTENT);
    });
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
    expect(upstream.requests[1]?.headers).toMatchObject({ 'if-range': '"first"' });
    expect(upstream.requests[1]?.headers.range).toMatch(/^bytes=[1-9]\d*-$/);
  });

  it('names no version that only weakly tells which it is', async () => {
    const upstream = await startScriptedServer((request, response) => {
      const start = startOf(request);
      if (start === 0) breakAfter(response, 1000, { 'Content-Length': '3000000', ETag: 'W/"weak"' });
      else {
        response
          .writeHead(206, { 'Content-Range': `bytes ${start}-2999999/3000000` })
          .end(CONTENT.subarray(start));
      }
    });
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
    expect(upstream.requests[1]?.headers['if-range']).toBeUndefined();
  });

  it('begins again when nothing had come yet', async () => {
    const upstream = await startScriptedServer((_request, response) => {
      if (upstream.requests.length === 1) response.destroy();
      else response.end(CONTENT);
    });
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
    expect(upstream.requests[1]?.headers.range).toBeUndefined();
  });

  it('of unknown size is taken up again, too, and its end is its end', async () => {
    const upstream = await startScriptedServer((request, response) => {
      const start = startOf(request);
      if (start === 0) breakAfter(response, 100_000);
      else {
        response.writeHead(206, { 'Content-Range': `bytes ${start}-2999999/*` }).end(CONTENT.subarray(start));
      }
    });
    const blob = await upstreamOf(upstream.url).openBlob(DIGEST);
    expect(blob?.size).toBeUndefined();
    await blob?.close();
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
  });

  it('that gets other bytes than it asked for is refused', async () => {
    const upstream = await startScriptedServer((request, response) => {
      if (request.headers.range === undefined) breakAfter(response, 1000, { 'Content-Length': '3000000' });
      else response.writeHead(206, { 'Content-Range': 'bytes 0-2999999/3000000' }).end(CONTENT);
    });
    await expectCacheError(
      download(upstreamOf(upstream.url), DIGEST),
      'unavailable',
      /another range than requested/,
    );
  });

  it('that never gets on is given up after a few tries, and says where', async () => {
    const upstream = await startScriptedServer((request, response) => {
      if (request.headers.range === undefined) breakAfter(response, 1000, { 'Content-Length': '3000000' });
      else response.destroy();
    });
    await expectCacheError(
      download(upstreamOf(upstream.url), DIGEST),
      'unavailable',
      new RegExp(`^${upstream.url}/bcache/${DIGEST}: .*, after \\d+ of 3000000 bytes; tried 3 times$`),
    );
    expect(upstream.requests).toHaveLength(1 + 2);
  });

  it('is given up when a server that knows no ranges always breaks at the same place', async () => {
    const upstream = await startScriptedServer((_request, response) => {
      breakAfter(response, 1000, { 'Content-Length': '3000000' });
    });
    await expectCacheError(download(upstreamOf(upstream.url), DIGEST), 'unavailable', /tried 3 times/);
    expect(upstream.requests.length).toBeLessThan(6);
  });

  it('on which nothing moves any more is taken up again', async () => {
    const upstream = await startScriptedServer((request, response) => {
      const start = startOf(request);
      if (start === 0) {
        response.writeHead(200, { 'Content-Length': '3000000' });
        response.write(CONTENT.subarray(0, 1000));
      } else {
        response
          .writeHead(206, { 'Content-Range': `bytes ${start}-2999999/3000000` })
          .end(CONTENT.subarray(start));
      }
    });
    expect(await download(upstreamOf(upstream.url, { idleLimit: 3000 }), DIGEST)).toBe(DIGEST);
    expect(upstream.requests).toHaveLength(2);
  });

  it('that is left in the middle breaks its connection', async () => {
    let isGone: Promise<void> | undefined;
    const upstream = await startScriptedServer((_request, response) => {
      isGone = new Promise((resolve) => response.once('close', resolve));
      response.writeHead(200, { 'Content-Length': '3000000' });
      response.write(CONTENT.subarray(0, 1000));
    });
    const blob = await upstreamOf(upstream.url).openBlob(DIGEST);
    for await (const piece of blob?.pieces ?? []) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await blob?.close();
    await isGone;
  });
});

describe.skipIf(lacks('python3'))("a download from Python's http.server, which knows no ranges", () => {
  it('gets the bytes, also when the connection breaks', async () => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'bcache'));
    await writeFile(join(folder, 'bcache', DIGEST), CONTENT);
    const child = spawn('python3', ['-u', '-m', 'http.server', '--bind', '127.0.0.1', '0'], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void child.kill());
    const line = await new Promise<string>((resolve) => {
      child.stdout.once('data', (text: Buffer) => {
        resolve(text.toString());
      });
    });
    const port = Number(/port (\d+)/.exec(line)?.[1]);
    expect(await download(upstreamOf(`http://127.0.0.1:${port}`), DIGEST)).toBe(DIGEST);
    const proxy = await startCuttingProxy({ host: '127.0.0.1', port }, { bytes: 1_000_000, times: 2 });
    expect(await download(upstreamOf(proxy.url), DIGEST)).toBe(DIGEST);
    expect(proxy.cuts()).toBe(2);
    expect(await upstreamOf(proxy.url).blobSize(DIGEST)).toBe(CONTENT.length);
    // Its page about the folder is no list of keys.
    await mkdir(join(folder, 'bdir'));
    await expectCacheError(
      async () => {
        for await (const key of upstreamOf(proxy.url).keys()) expect(key).toBeUndefined();
      },
      'not-found',
      /no list of keys, but 200 as text\/html from SimpleHTTP.*; correct the URL, or use cache fetch with URLs/,
    );
  });
});

describe('a server that is busy', () => {
  it.each([429, 500, 502, 503, 504])('with %d is asked again', async (status) => {
    const upstream = await startScriptedServer((_request, response) => {
      if (upstream.requests.length < HASTY.attempts) response.writeHead(status).end();
      else response.end(CONTENT);
    });
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
  });

  it('and stays so is given up', async () => {
    const upstream = await startScriptedServer((_request, response) => {
      response.writeHead(503, { 'Content-Type': 'text/plain' }).end('out of order\u001b[2J\n');
    });
    await expectCacheError(
      download(upstreamOf(upstream.url), DIGEST),
      'unavailable',
      new RegExp(
        `^${upstream.url}/bcache/${DIGEST}: answered 503 Service Unavailable: out of order \\[2J; tried 3 times$`,
      ),
    );
    expect(upstream.requests).toHaveLength(3);
  });

  it('and tells when to come back is not asked before', async () => {
    const times: number[] = [];
    const upstream = await startScriptedServer((_request, response) => {
      times.push(performance.now());
      if (times.length === 1) response.writeHead(503, { 'Retry-After': '1' }).end();
      else response.end(CONTENT);
    });
    expect(await download(upstreamOf(upstream.url), DIGEST)).toBe(DIGEST);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(990);
  });
});
