import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createKeyPair } from '../../src/cache/certificate.ts';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { lacks, run } from './outside-programs.ts';
import { RawConnection } from './raw-connection.ts';
import { openTls } from './tls-connection.ts';

const CONTENT = incompressible(8_000_000);

let server: HttpServer;
let digest: Digest;

beforeAll(async () => {
  server = await startHttpServer({ parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }) });
  digest = await server.addBlob(CONTENT);
});

afterAll(() => server.stop());

describe('a client that sends all it has to say and closes its half of the connection', () => {
  it('gets the answer to an upload, with a length or in chunks', async () => {
    for (const framed of [
      'Content-Length: 3\r\n\r\nabc',
      'Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n',
    ]) {
      const connection = await RawConnection.open(server);
      connection.send(`POST /bcache HTTP/1.1\r\nHost: x\r\n${framed}`);
      connection.end();
      const { status, body } = await connection.response();
      expect([status, body.toString()]).toEqual([201, digestOf('abc')]);
      expect(await connection.rest()).toHaveLength(0);
    }
  });

  it('gets a whole blob, and the answers to all that it sent ahead, in their order', async () => {
    const connection = await RawConnection.open(server);
    for (const target of [`/bcache/${digest}`, '/bdir/pypi:none=1', `/bcache/${digest}`, '/health'])
      connection.request(target);
    connection.end();
    expect((await connection.response()).body.equals(CONTENT)).toBe(true);
    expect((await connection.response()).status).toBe(404);
    expect((await connection.response()).body.equals(CONTENT)).toBe(true);
    expect((await connection.response()).status).toBe(200);
    expect(await connection.rest()).toHaveLength(0);
  });

  it('in the middle of a body is refused, and nothing is kept', async () => {
    const connection = await RawConnection.open(server);
    connection.send('POST /bcache HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\ndef');
    connection.end();
    expect((await connection.response()).status).toBe(400);
    expect(await server.blobs.stat(digestOf('def'))).toBeUndefined();
  });

  it('without a request, or after an answer, finds the connection closed', async () => {
    const connection = await RawConnection.open(server);
    connection.request('/health');
    expect((await connection.response()).status).toBe(200);
    connection.end();
    expect(await connection.rest()).toHaveLength(0);
    const silent = await RawConnection.open(server);
    silent.end();
    expect(await silent.rest()).toHaveLength(0);
  });

  it.each(['TLSv1.2', 'TLSv1.3'] as const)('gets its answer over %s, too', async (version) => {
    const pair = await createKeyPair({ commonName: 'server', days: 1, bits: 2048 });
    const secure = await startHttpServer({
      tls: { ...pair, clientCa: undefined },
      parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
    });
    onTestFinished(async () => {
      await secure.stop();
    });
    const socket = await openTls(secure, { minVersion: version, maxVersion: version });
    socket.end('POST /bcache HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc');
    let text = '';
    for await (const data of socket) text += String(data);
    expect(text).toMatch(/^HTTP\/1\.1 201 /);
  });

  it.skipIf(lacks('python3'))('may be Python', async () => {
    const program = `
import socket
c = socket.create_connection(('127.0.0.1', ${server.port}))
c.sendall(b'POST /bcache HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\nhi')
c.shutdown(socket.SHUT_WR)
answer = b''
while True:
    some = c.recv(65536)
    if not some: break
    answer += some
print(answer.split(b'\\r\\n')[0].decode())
`;
    expect((await run('python3', ['-c', program])).stdout).toBe('HTTP/1.1 201 Created\n');
  });
});
