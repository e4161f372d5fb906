import { rename } from 'node:fs/promises';
import { expect, it, onTestFinished } from 'vitest';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf } from './raw-connection.ts';

async function start(): Promise<HttpServer> {
  const server = await startHttpServer();
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

it('tells that all is well, the version, and that of Node', async () => {
  const response = await ask(await start(), '/health');
  expect(response.status).toBe(200);
  expect(headerOf(response, 'Content-Type')).toBe('application/json');
  expect(JSON.parse(response.body.toString())).toEqual({
    status: 'ok',
    version: '1.2.3',
    node: process.versions.node,
  });
});

it('answers HEAD, as monitors ask it', async () => {
  expect((await ask(await start(), '/health', { method: 'HEAD' })).status).toBe(200);
});

it('is 200 as long as the process serves, also while the store is away: see /ready', async () => {
  const server = await start();
  await rename(server.root, `${server.root}.unplugged`);
  expect((await ask(server, '/health')).status).toBe(200);
  await rename(`${server.root}.unplugged`, server.root);
});

it('answers 405 with Allow to other methods', async () => {
  const response = await ask(await start(), '/health', { method: 'DELETE' });
  expect(response.status).toBe(405);
  expect(headerOf(response, 'Allow')).toMatch(/GET, HEAD/);
});
