import { expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { withoutMisses } from '../../src/cli/filling-store.ts';
import { startHttpServer } from '../fixtures/http-server.ts';
import { ask } from '../http/raw-connection.ts';

it('answers 503 to what is not there yet while a store is filled for the first time, and 404 afterwards', async () => {
  let isFilling = true;
  const server = await startHttpServer({
    parts: (usual) => ({ ...usual, ...withoutMisses(usual, () => isFilling) }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  const there = `/bcache/${await server.addBlob('content')}`;
  const missing = [`/bcache/${digestOf('other')}`, `/bdir/${'0'.repeat(32)}`];
  const statuses = (targets: readonly string[], method = 'GET'): Promise<readonly number[]> =>
    Promise.all(targets.map(async (target) => (await ask(server, target, { method })).status));
  expect(await statuses([there, ...missing])).toEqual([200, 503, 503]);
  expect(await statuses([there, ...missing], 'HEAD')).toEqual([200, 503, 503]);
  isFilling = false;
  expect(await statuses([there, ...missing])).toEqual([200, 404, 404]);
});
