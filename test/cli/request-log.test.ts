import { describe, expect, it } from 'vitest';
import { ask, RawConnection } from '../http/raw-connection.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { upload } from '../http/upload-client.ts';

/** The lines of requests that a server wrote until its end. */
async function linesUntilEnd(serve: ServeProcess): Promise<readonly Record<string, unknown>[]> {
  serve.signal('SIGTERM');
  expect((await serve.exit).code).toBe(0);
  const lines = serve.stderr.split('\n').filter((line) => line.startsWith('{'));
  return lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg }) => msg === 'request');
}

describe('the log of a server that no terminal shows', () => {
  it('has a line of JSON for each request, with level, time and all that is known of it', async () => {
    const serve = await ServeProcess.start();
    const port = await serve.port();
    const path = '/bdir/pypi:a=1?"quoted"\\';
    const before = Date.now();
    const { bytes } = await ask({ host: '127.0.0.1', port }, path);
    const after = Date.now();
    const [line, ...more] = await linesUntilEnd(serve);
    expect(more).toEqual([]);
    expect(line).toEqual({
      level: 30,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as string,
      requestId: expect.stringMatching(/^[0-9a-z-]+$/) as string,
      method: 'GET',
      path,
      status: 404,
      bytes,
      ms: expect.any(Number) as number,
      remote: '127.0.0.1',
      aborted: false,
      msg: 'request',
    });
    const time = Date.parse(String(line?.['time']));
    expect(time).toBeGreaterThanOrEqual(before);
    expect(time).toBeLessThanOrEqual(after);
  });

  it('has the reason of a refused upload in its line', async () => {
    const serve = await ServeProcess.start();
    const port = await serve.port();
    const { bytes } = await upload({ host: '127.0.0.1', port }, 'content');
    expect(await linesUntilEnd(serve)).toMatchObject([
      {
        ...{ level: 30, method: 'POST', path: '/bcache', status: 403, bytes, aborted: false, msg: 'request' },
        reason:
          'uploads are disabled; in config.ini, [access] anonymous = upload allows them to all clients, upload-users with htpasswd-file, client-ca-file or ldap-url to some',
      },
    ]);
  });

  it('has every line, whole and in the order of the answers, however many there are', async () => {
    const count = 2000;
    const serve = await ServeProcess.start();
    const connection = await RawConnection.open({ host: '127.0.0.1', port: await serve.port() });
    for (let number = 0; number < count; number++) {
      connection.request(`/bdir/?${number}`, { method: 'HEAD' });
      await connection.response('HEAD');
    }
    connection.destroy();
    expect((await linesUntilEnd(serve)).map(({ path }) => path)).toEqual(
      Array.from({ length: count }, (_, number) => `/bdir/?${number}`),
    );
  });

  it('shows a line while the server runs, without more requests to push it out', async () => {
    const serve = await ServeProcess.start();
    await ask({ host: '127.0.0.1', port: await serve.port() }, '/health');
    await expect.poll(() => serve.stderr, { timeout: 30_000 }).toContain('"path":"/health"');
  });
});
