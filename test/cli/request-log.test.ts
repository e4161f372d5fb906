import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ask, RawConnection } from '../http/raw-connection.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { upload } from '../http/upload-client.ts';
import { ENVIRONMENT, PROGRAM, runCache } from './command.ts';

/** Serves on a terminal, asks for a key as soon as it listens, ends it when the request is logged, and prints all that came. */
const ON_TERMINAL = `
import os, pty, re, signal, sys, urllib.error, urllib.request
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
output = b''
asked = ended = False
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    output += piece
    url = re.search(rb'^Serving .* on (http://\\S+)', output, re.M)
    if url and not asked:
        asked = True
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url.group(1).decode() + '/bdir/pypi:a=1')
        except urllib.error.HTTPError:
            pass
    if not ended and re.search(rb'/bdir/pypi:a=1', output):
        ended = True
        os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
sys.stdout.buffer.write(output)
`;

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
      level: 'info',
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
        ...{
          level: 'info',
          method: 'POST',
          path: '/bcache',
          status: 403,
          bytes,
          aborted: false,
          msg: 'request',
        },
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
    await expect.poll(() => serve.stderr).toContain('"path":"/health"');
  });
});

/** A request as text: when, what, its answer, how much and how long, by whom, its id. */
const TEXT =
  /^\d\d:\d\d:\d\dZ {2}GET \/bdir\/pypi:a=1 {2}404 {2}\d+ B {2}[\d.]+ ms {2}127\.0\.0\.1 {2}[\w-]+$/;

describe('the format of the log', () => {
  it('is text in a pipe with --log-format text', async () => {
    const serve = await ServeProcess.start({ options: ['--log-format', 'text'] });
    await ask({ host: '127.0.0.1', port: await serve.port() }, '/bdir/pypi:a=1');
    serve.signal('SIGTERM');
    expect((await serve.exit).code).toBe(0);
    expect(serve.stderr).toMatch(/^\d\d:\d\d:\d\dZ {2}serving \/.* on http:\/\/127\.0\.0\.1:\d+$/m);
    expect(serve.stderr.split('\n').filter((line) => TEXT.test(line))).toHaveLength(1);
    expect(serve.stderr).not.toContain('{');
  });

  it('is text on a terminal, and JSON there with --log-format json', async () => {
    const folder = await temporaryFolder();
    const lines = async (...options: readonly string[]): Promise<readonly string[]> => {
      const args = ['-c', ON_TERMINAL, ...PROGRAM, 'serve', '-l', '127.0.0.1:0', ...options];
      const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
      return stdout.split('\r\n');
    };
    const text = await lines();
    expect(text.filter((line) => TEXT.test(line))).toHaveLength(1);
    expect(text.filter((line) => line.startsWith('{'))).toEqual([]);
    const json = (await lines('--log-format', 'json')).filter((line) => line.startsWith('{'));
    expect(json.map((line) => JSON.parse(line) as unknown)).toContainEqual(
      expect.objectContaining({ level: 'info', msg: 'request', path: '/bdir/pypi:a=1', status: 404 }),
    );
  });

  it('is one of two', async () => {
    const result = await runCache(await temporaryFolder(), 'serve', '--log-format', 'xml');
    expect(result).toEqual({
      code: 2,
      stdout: '',
      stderr:
        "cache: serve: option '--log-format <format>' argument 'xml' is invalid. Allowed choices are json, text; see: cache serve --help\n",
    });
  });
});

describe('the log with -q', () => {
  it('has no requests, and all the rest', async () => {
    const port = String(await freePort());
    const serve = await ServeProcess.start({ options: ['-q'], listen: `127.0.0.1:${port}` });
    await expect.poll(() => serve.stderr).toContain('"msg":"serving ');
    await ask({ host: '127.0.0.1', port: Number(port) }, '/bdir/pypi:a=1');
    serve.signal('SIGTERM');
    expect((await serve.exit).code).toBe(0);
    expect(serve.stdout).toBe('');
    const lines = serve.stderr.split('\n').filter((line) => line.startsWith('{'));
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      {
        level: 'info',
        time: expect.any(String) as string,
        msg: `serving ${serve.root} on http://127.0.0.1:${port}`,
      },
    ]);
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
