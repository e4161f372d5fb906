import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { blobName } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { createLocalCache } from '../../src/storage/local-cache.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startNginx } from '../fixtures/nginx.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run } from './outside-programs.ts';
import { ask, headerOf, type Place, type RawResponse } from './raw-connection.ts';

/** The configurations of docs/scaling.md: with `accel-redirect`, with a cache, and before several servers. */
let configurations: readonly string[];

beforeAll(async () => {
  const guide = await readFile(join(import.meta.dirname, '../../docs/scaling.md'), 'utf8');
  configurations = [...guide.matchAll(/```nginx\n(.*?)```/gs)].map(([, text = '']) => text);
  expect(configurations).toHaveLength(3);
});

/** Starts nginx as the guide has it; only folders and ports are those of the test. @param others more servers */
function startInFront(
  configuration: string,
  server: HttpServer,
  ...others: readonly HttpServer[]
): Promise<Place> {
  return startNginx(({ port, kept }) =>
    configuration
      .replaceAll('/srv/shacache/store', server.root)
      .replaceAll('/var/cache/nginx/shacache', kept)
      .replaceAll('127.0.0.1:5050', `${server.host}:${server.port}`)
      .replaceAll(/10\.0\.0\.(\d):5050/g, (_, number: string) => {
        const { host, port: itsPort } = [server, ...others][Number(number) - 1] ?? server;
        return `${host}:${itsPort}`;
      })
      .replaceAll('listen 80;', `listen 127.0.0.1:${port};`),
  );
}

async function start(options: Parameters<typeof startHttpServer>[0] = {}): Promise<HttpServer> {
  const server = await startHttpServer(options);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const CONTENT = `bytes of a release, which nginx sends${' and sends'.repeat(500)}`;

describe.skipIf(lacks('nginx', 'curl'))('nginx that sends the blobs', () => {
  const accelRedirect = '/internal/';

  it('answers as the server does: whole, in ranges, conditions, misses', async () => {
    const server = await start({ parts: (usual) => ({ ...usual, accelRedirect }) });
    const nginx = await startInFront(configurations[0] ?? '', server);
    const path = `/bcache/${await server.addBlob(CONTENT)}`;
    const whole = await ask(nginx, path);
    expect([whole.status, whole.body.toString()]).toEqual([200, CONTENT]);
    expect(headerOf(whole, 'Cache-Control')).toMatch(/public.*immutable/);
    expect(headerOf(whole, 'Content-Type')).toBe('application/octet-stream');
    for (const name of ['X-Accel-Redirect', 'X-Accel-Cache-Control'])
      expect(headerOf(whole, name)).toBeUndefined();
    // The server sent no byte of it.
    expect(server.lines.at(-1)?.bytes).toBeLessThan(1000);

    const url = `http://127.0.0.1:${nginx.port}${path}`;
    const etag = headerOf(whole, 'ETag') ?? '';
    const curl = async (...options: string[]) =>
      (await run('curl', [...PLAIN_CURL, '-sS', ...options, url])).stdout;
    const status = ['-o', '/dev/null', '-w', '%{http_code} %{size_download}'];
    expect(await curl('-r', '6-9')).toBe(CONTENT.slice(6, 10));
    expect(await curl('-r', '6-9', '-H', `If-Range: ${etag}`, ...status)).toBe('206 4');
    expect(await curl('-H', `If-None-Match: ${etag}`, ...status)).toBe('304 0');
    expect(await curl('-H', `If-None-Match: "${digestOf(CONTENT)}"`, ...status)).toBe('304 0');
    expect(await curl('-I')).toMatch(new RegExp(`200 OK[^]*Content-Length: ${CONTENT.length}\r`));
    expect(await curl('-r', '500000-', ...status)).toMatch(/^416 /);
    const missing = await ask(nginx, `/bcache/${digestOf('nothing')}`);
    expect([missing.status, headerOf(missing, 'Cache-Control')]).toEqual([404, 'no-store']);
  });

  it('what it may not read, and what is gone, comes from the server, and only a blob may be kept', async () => {
    const server = await start({ parts: (usual) => ({ ...usual, accelRedirect }) });
    const digest = await server.addBlob(CONTENT);
    const lifetimes = ({ headers }: RawResponse): readonly string[] =>
      headers.filter(([name]) => /^cache-control$/i.test(name)).map(([, value]) => value);
    const forEver = ['public, max-age=31536000, immutable'];
    const open = configurations[0] ?? '';
    // As for a file of another user.
    const closed = open.replace('internal;', 'internal; deny all;');
    for (const configuration of [open, closed]) {
      const answer = await ask(await startInFront(configuration, server), `/bcache/${digest}`);
      expect([answer.status, answer.body.length, lifetimes(answer)]).toEqual([200, CONTENT.length, forEver]);
    }
    const nginx = await startInFront(open, server);
    await ask(nginx, `/bcache/${digest}`);
    await rm(join(server.root, blobName(digest)));
    const gone = await ask(nginx, `/bcache/${digest}`);
    expect([gone.status, lifetimes(gone)]).toEqual([404, ['no-store']]);
  });

  it('its own refusals are not kept as long as a blob', async () => {
    const server = await start({ parts: (usual) => ({ ...usual, accelRedirect }) });
    const path = `/bcache/${await server.addBlob(CONTENT)}`;
    const refusing = (configurations[0] ?? '').replace('internal;', 'internal; return 500;');
    const answer = await ask(await startInFront(refusing, server), path);
    expect([answer.status, headerOf(answer, 'Cache-Control') ?? 'none']).toEqual([500, 'none']);
  });

  it('a client of the server itself gets the bytes', async () => {
    const server = await start({ parts: (usual) => ({ ...usual, accelRedirect }) });
    const path = `/bcache/${await server.addBlob(CONTENT)}`;
    const answer = await ask(server, path);
    expect([answer.status, answer.body.toString()]).toEqual([200, CONTENT]);
  });

  it('a client that asks for X-Accel-Redirect where it is not configured gets the bytes', async () => {
    const server = await start();
    const url = `${server.url}/bcache/${await server.addBlob(CONTENT)}`;
    const options = [...PLAIN_CURL, '-sS', '-H', 'X-Sendfile-Type: X-Accel-Redirect', url];
    expect((await run('curl', options)).stdout).toBe(CONTENT);
  });

  it('access stays with the server', async () => {
    const server = await start({
      parts: (usual) => ({ ...usual, accelRedirect, access: { anonymous: undefined } }),
    });
    const nginx = await startInFront(configurations[0] ?? '', server);
    const digest = await server.addBlob(CONTENT);
    // The location of nginx is no way around it.
    for (const path of [`/bcache/${digest}`, `/internal/${digest}`]) {
      const answer = await ask(nginx, path);
      expect(answer.body.toString()).not.toBe(CONTENT);
      expect([401, 403]).toContain(answer.status);
    }
  });

  it('a blob that is no file in bcache/ comes from the server', async () => {
    const server = await start({ parts: (usual) => ({ ...usual, accelRedirect }) });
    const elsewhere = await temporaryFolder();
    const path = `/bcache/${await server.addBlob(CONTENT)}`;
    const configuration = (configurations[0] ?? '').replace('/srv/shacache/store/bcache/', `${elsewhere}/`);
    const answer = await ask(await startInFront(configuration, server), path);
    expect([answer.status, answer.body.toString()]).toEqual([200, CONTENT]);
  });
});

it.skipIf(lacks('nginx', 'curl'))(
  'nginx that keeps blobs asks once for many nodes, and always for lookups',
  async () => {
    const server = await start();
    const nginx = await startInFront(configurations[1] ?? '', server);
    const content = Buffer.alloc(8 * 2 ** 20, 'blob ');
    const path = `/bcache/${await server.addBlob(content)}`;
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(nginx, path)));
    for (const { status, body } of answers) {
      expect(status).toBe(200);
      expect(body.equals(content)).toBe(true);
    }
    const url = `http://127.0.0.1:${nginx.port}${path}`;
    expect((await run('curl', [...PLAIN_CURL, '-sS', '-r', '5-8', url])).stdout).toBe('blob');
    expect(server.lines.filter((line) => line.path === path)).toHaveLength(1);
    for (let count = 0; count < 2; count++) expect((await ask(nginx, '/bdir/')).status).toBe(200);
    expect(server.lines.filter((line) => line.path === '/bdir/')).toHaveLength(2);
  },
);

describe.skipIf(lacks('nginx', 'curl'))('nginx before several servers on one store', () => {
  it('asks another one when one is down, or can not reach the store', async () => {
    let isStoreAway = false;
    const away = (storage: ObjectStorage): ObjectStorage => ({
      ...storage,
      open: (name) =>
        isStoreAway ? Promise.reject(new CacheError('unavailable', 'the store is away')) : storage.open(name),
    });
    const upload: Parameters<typeof startHttpServer>[0] = {
      parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
    };
    const one = await start(upload);
    const two = await start({ ...upload, root: one.root, wrapStorage: away });
    const nginx = await startInFront(configurations[2] ?? '', one, two);
    const url = `http://127.0.0.1:${nginx.port}`;
    const digest = digestOf(CONTENT);
    // Each server gets half of the requests.
    const putAndGet = async (): Promise<void> => {
      for (let round = 0; round < 4; round++) {
        const put = await fetch(`${url}/bcache/${digest}`, { method: 'PUT', body: CONTENT });
        expect(put.status).toBe(201);
        const answer = await ask(nginx, `/bcache/${digest}`);
        expect([answer.status, answer.body.toString()]).toEqual([200, CONTENT]);
      }
    };
    await putAndGet();
    expect(one.lines.length).toBeGreaterThan(0);
    expect(two.lines.length).toBeGreaterThan(0);
    isStoreAway = true;
    for (let round = 0; round < 4; round++) expect((await ask(nginx, `/bcache/${digest}`)).status).toBe(200);
    isStoreAway = false;
    await two.stop();
    await putAndGet();
  });
});

it.skipIf(lacks('nginx', 'curl'))(
  'nginx sends the copies of a local cache, and the server the others',
  async () => {
    const [folder, far] = [await temporaryFolder(), await temporaryFolder()];
    const cache = await createLocalCache(await openStorage(join(far, 'store'), { write: true }), {
      folder,
      size: 2 ** 30,
      onFault: (message) => {
        throw new Error(message);
      },
    });
    const accelRedirect = '/internal/';
    const server = await start({
      wrapStorage: () => cache,
      parts: (usual) => ({ ...usual, accelRedirect }),
    });
    const nginx = await startInFront(
      (configurations[0] ?? '').replace('/srv/shacache/store', folder),
      server,
    );
    const content = Buffer.alloc(3 * 2 ** 20, 'bytes ');
    const path = `/bcache/${await server.addBlob(content)}`;
    const bytesSent = (): number => server.lines.reduce((sum, { bytes }) => sum + bytes, 0);
    expect((await ask(nginx, path)).body.equals(content)).toBe(true);
    expect(bytesSent()).toBeGreaterThan(content.length);
    await expect.poll(() => readdir(join(folder, 'bcache'))).toHaveLength(1);
    const before = bytesSent();
    for (let round = 0; round < 3; round++) expect((await ask(nginx, path)).body.equals(content)).toBe(true);
    expect(bytesSent() - before).toBeLessThan(10_000);
  },
);
