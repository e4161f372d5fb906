import { rename } from 'node:fs/promises';
import { expect, it, onTestFinished } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { createStore } from '../../src/cache/store.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import type { Readiness } from '../../src/http/health.ts';
import { createReadiness, type ReadinessCheck, type ReadinessOptions } from '../../src/server/readiness.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf } from '../http/raw-connection.ts';

const NONE: Readiness = { reasons: [], warnings: [] };

interface Started extends HttpServer {
  readonly check: ReadinessCheck;
  readonly told: string[];
}

async function start(
  options: Partial<ReadinessOptions> = {},
  wrap: (storage: ObjectStorage) => ObjectStorage = (storage) => storage,
): Promise<Started> {
  const told: string[] = [];
  let check: ReadinessCheck | undefined;
  const server = await startHttpServer({
    parts(usual) {
      const { store } = usual;
      const who = { user: 'root', host: 'master' };
      check = createReadiness({
        store: createStore({ ...store, storage: wrap(store.storage) }, { who }),
        ...{ takesUploads: true, certificates: () => NONE, onFault: (message) => told.push(message) },
        ...options,
      });
      check.start();
      return { ...usual, access: { anonymous: undefined }, readiness: check.now };
    },
  });
  onTestFinished(async () => {
    check?.stop();
    await server.stop();
  });
  if (check === undefined) throw new Error('it has no check');
  return { ...server, check, told };
}

async function ready(server: HttpServer): Promise<unknown> {
  const { status, body } = await ask(server, '/ready');
  return [status, JSON.parse(body.toString())];
}

const notReady = (code: string, reason: string) => [
  503,
  { ready: false, reasons: [{ code, reason }], warnings: [] },
];

it('is ready soon after the start, without access control', async () => {
  const server = await start();
  await expect.poll(() => ready(server)).toEqual([200, { ready: true, reasons: [], warnings: [] }]);
  const answer = await ask(server, '/ready');
  expect(headerOf(answer, 'Cache-Control')).toBe('no-store');
  expect(server.check.room()).toBeGreaterThan(0);
});

it('is not ready while the store is away; the log has the reason', async () => {
  const server = await start();
  await expect.poll(async () => (await ask(server, '/ready')).status).toBe(200);
  await rename(server.root, `${server.root}.away`);
  await expect.poll(() => ready(server)).toMatchObject([503, { reasons: [{ code: 'storage' }] }]);
  expect(server.told[0]).toContain('the store cannot be read: ');
  expect((await ask(server, '/ready')).body.toString()).not.toContain(server.root);
  expect(server.check.room()).toBeUndefined();
  await rename(`${server.root}.away`, server.root);
  await expect.poll(async () => (await ask(server, '/ready')).status).toBe(200);
  expect(server.told).toHaveLength(2);
  expect(server.told[1]).toBe('no longer: the store cannot be read');
});

it('does not wait for a disk that hangs', async () => {
  const server = await start({}, (storage) => ({ ...storage, stat: () => new Promise(() => undefined) }));
  await expect
    .poll(() => ready(server), { timeout: 20_000 })
    .toEqual(notReady('storage', 'the store does not answer'));
  expect((await ask(server, '/health')).status).toBe(200);
});

it('needs a writable store only if it takes uploads', async () => {
  const readOnly = (storage: ObjectStorage): ObjectStorage => ({
    ...storage,
    create: () => Promise.reject(new CacheError('storage', 'EROFS')),
  });
  const writer = await start({}, readOnly);
  await expect.poll(() => ready(writer)).toEqual(notReady('not-writable', 'the store cannot be written to'));
  const reader = await start({ takesUploads: false }, readOnly);
  await expect.poll(async () => (await ask(reader, '/ready')).status).toBe(200);
});

it('tells of certificates, and of an upstream only as a warning', async () => {
  const certificate = { code: 'certificate', reason: 'the TLS certificate: it expired' } as const;
  let reasons: readonly (typeof certificate)[] = [certificate];
  const server = await start({
    certificates: () => ({ reasons, warnings: [] }),
    askUpstream: () => Promise.reject(new CacheError('unavailable', 'http://10.0.0.1: no answer')),
  });
  const warnings = [{ code: 'upstream', reason: 'the upstream does not answer' }];
  await expect.poll(() => ready(server)).toEqual([503, { ready: false, reasons: [certificate], warnings }]);
  reasons = [];
  expect(await ready(server)).toEqual([200, { ready: true, reasons: [], warnings }]);
});
