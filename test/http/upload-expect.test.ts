import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL } from './outside-programs.ts';
import { RawConnection } from './raw-connection.ts';
import { everythingBelow, temporaryFiles } from './upload-client.ts';

const BODY = 'body of the blob';
const DIGEST = digestOf(BODY);

interface Options extends HttpServerOptions {
  readonly access?: AccessControl;
  readonly maxBlobSize?: number;
}

async function start({
  access = { anonymous: 'upload' },
  maxBlobSize = 1000,
  ...more
}: Options = {}): Promise<HttpServer> {
  const server = await startHttpServer({
    ...more,
    parts: (usual) => ({ ...usual, access, upload: { ...usual.upload, maxBlobSize } }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** Sends a head that asks to be asked for the body, and nothing of the body. */
async function knock(
  server: HttpServer,
  {
    target = '/bcache',
    method = 'POST',
    headers = {},
  }: { target?: string; method?: string; headers?: Record<string, string> } = {},
): Promise<RawConnection> {
  const connection = await RawConnection.open(server);
  onTestFinished(() => {
    connection.destroy();
  });
  connection.request(target, {
    method,
    headers: { 'Content-Length': String(BODY.length), Expect: '100-continue', ...headers },
  });
  return connection;
}

describe('Expect: 100-continue', () => {
  it.each([
    ['POST', '/bcache', '100-continue'],
    ['PUT', `/bcache/${DIGEST}`, '100-Continue'],
  ])('of %s %s is answered by 100, then by 201 when the body has come', async (method, target, value) => {
    const server = await start();
    const connection = await knock(server, { method, target, headers: { Expect: value } });
    expect(await connection.head()).toMatchObject({ status: 100, headers: [] });
    // It was asked for only when there was room for it.
    expect(await temporaryFiles(server.root)).toHaveLength(1);
    connection.send(BODY);
    const response = await connection.response();
    expect(response.status).toBe(201);
    expect(response.body.toString()).toBe(DIGEST);
  });

  it('leaves the connection usable for another', async () => {
    const server = await start();
    const connection = await knock(server);
    await connection.head();
    connection.send(BODY);
    await connection.response();
    connection.request('/bcache', {
      method: 'POST',
      headers: { 'Content-Length': '3', Expect: '100-continue' },
    });
    expect((await connection.head()).status).toBe(100);
    connection.send('abc');
    expect((await connection.response()).body.toString()).toBe(digestOf('abc'));
  });

  it('works with chunks', async () => {
    const server = await start();
    const connection = await RawConnection.open(server);
    connection.request('/bcache', {
      method: 'POST',
      headers: { 'Transfer-Encoding': 'chunked', Expect: '100-continue' },
    });
    expect((await connection.head()).status).toBe(100);
    connection.send(`${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`);
    expect((await connection.response()).body.toString()).toBe(DIGEST);
    connection.destroy();
  });

  it('does not hold up a client that sends its body without being asked', async () => {
    const server = await start();
    const connection = await knock(server);
    connection.send(BODY);
    expect((await connection.head()).status).toBe(100);
    expect((await connection.response()).status).toBe(201);
  });

  it('lets a client that does not look at the refusal send all of its body', async () => {
    const server = await start();
    const size = 64 * 1024 * 1024;
    const connection = await knock(server, { headers: { 'Content-Length': String(size) } });
    // It has been sent, but nobody needs to have noticed.
    expect((await connection.head()).status).toBe(413);
    expect(await connection.sendAll(Buffer.alloc(size))).toBe(true);
  });

  it('is ignored from a client that speaks HTTP/1.0 (RFC 9110, 10.1.1)', async () => {
    const server = await start();
    const connection = await RawConnection.open(server);
    connection.send(
      `POST /bcache HTTP/1.0\r\nHost: x\r\nContent-Length: ${BODY.length}\r\nExpect: 100-continue\r\n\r\n${BODY}`,
    );
    const response = await connection.response();
    expect(response.status).toBe(201);
    expect(response.body.toString()).toBe(DIGEST);
    connection.destroy();
  });

  it.each<[string, number, Options, Parameters<typeof knock>[1]]>([
    ['too large', 413, {}, { headers: { 'Content-Length': '1001' } }],
    ['not allowed', 403, { access: { anonymous: 'read' } }, {}],
    [
      'without a name',
      401,
      { access: { anonymous: 'read', withPassword: () => Promise.resolve(undefined) } },
      {},
    ],
    [
      'with a wrong password',
      401,
      { access: { anonymous: 'read', withPassword: () => Promise.resolve(undefined) } },
      { headers: { Authorization: 'Basic dTpw' } },
    ],
    [
      'from somebody nobody can look up just now',
      503,
      {
        access: {
          anonymous: 'read',
          withPassword: () => Promise.reject(new CacheError('unavailable', 'no LDAP')),
        },
      },
      { headers: { Authorization: 'Basic dTpw' } },
    ],
    ['of no digest', 400, {}, { method: 'PUT', target: '/bcache/x' }],
    ['where there is no room', 507, { minFreeSpace: 2 ** 50 }, {}],
    [
      'of an entry larger than 64 KiB',
      413,
      {},
      { method: 'PUT', target: '/bdir/a:b', headers: { 'Content-Length': '65537' } },
    ],
    [
      'of an entry that is not allowed',
      403,
      { access: { anonymous: 'read' } },
      { method: 'PUT', target: '/bdir/a:b' },
    ],
    ['of no key', 400, {}, { method: 'PUT', target: '/bdir/a%20b' }],
  ])('is refused without 100 when it is %s', async (_what, status, options, request) => {
    const server = await start(options);
    const connection = await knock(server, request);
    const response = await connection.response();
    expect(response.status).toBe(status);
    // Nothing waits for a body that will not come.
    expect(await connection.rest()).toHaveLength(0);
    expect(await everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
  });

  it('is answered by 417 when something else is expected', async () => {
    const server = await start();
    expect((await (await knock(server, { headers: { Expect: 'tea' } })).head()).status).toBe(417);
  });

  it.skipIf(lacks('curl'))('is understood by curl', async () => {
    const server = await start();
    const file = join(await temporaryFolder(), 'body');
    await writeFile(file, BODY);
    // It would send the body only after a quarter of an hour unless it were asked.
    const curl = (...more: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
      promisify(execFile)('curl', [
        ...[...PLAIN_CURL, '-sv', '--expect100-timeout', '900', '-H', 'Expect: 100-continue'],
        ...['--data-binary', `@${file}`, ...more, `${server.url}/bcache`],
      ]);
    const { stdout, stderr } = await curl();
    expect(stdout).toBe(DIGEST);
    expect(stderr).toContain('HTTP/1.1 100 Continue');
    const refused = await curl('-H', 'Content-Length: 1001');
    expect(refused.stderr).toContain('HTTP/1.1 413');
    expect(refused.stderr).not.toContain('HTTP/1.1 100');
  });
});
