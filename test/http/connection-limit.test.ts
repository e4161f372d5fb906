import { expect, it } from 'vitest';
import { addSparseBlob } from '../fixtures/http-server.ts';
import { ask, RawConnection } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';

const SIZE = 64 * 2 ** 20;

it('more connections than max-connections are closed at once, told in the log, and the others go on', async () => {
  let digest = '';
  const serve = await ServeProcess.start({
    config: '[server]\nmax-connections = 3\n',
    prepare: async (root) => (digest = await addSparseBlob(root, SIZE)),
  });
  const place = { host: '127.0.0.1', port: await serve.port() };
  const slow = await RawConnection.open(place);
  slow.request(`/bcache/${digest}`);
  await slow.head();
  const others = await Promise.all([1, 2].map(() => RawConnection.open(place)));
  for (const other of others) {
    other.request('/health');
    expect((await other.response()).status).toBe(200);
  }

  for (let count = 0; count < 5; count++) {
    await expect(ask(place, '/health')).rejects.toThrow(/the connection ended|ECONNRESET/);
  }
  await expect.poll(() => serve.stderr).toMatch(/3 connections are open.*max-connections/);
  expect(serve.stderr.match(/max-connections/g)).toHaveLength(1);

  await slow.discard(SIZE);
  others[0]?.request('/health');
  expect((await others[0]?.response())?.status).toBe(200);
  others[1]?.destroy();
  await expect
    .poll(() =>
      ask(place, '/health').then(
        ({ status }) => status,
        () => 'refused',
      ),
    )
    .toBe(200);
});
