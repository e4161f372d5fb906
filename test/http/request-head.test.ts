import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, askRaw, headerOf, RawConnection } from './raw-connection.ts';

let server: HttpServer;

beforeAll(async () => {
  server = await startHttpServer({ parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }) });
});

afterAll(() => server.stop());

const GET = 'GET /health HTTP/1.1';
const POST = 'POST /bcache HTTP/1.1\r\nHost: x';

describe('what RFC 9112 wants refused', () => {
  it.each([
    ['no Host (3.2)', `${GET}\r\n\r\n`],
    ['two Hosts (3.2)', `${GET}\r\nHost: a\r\nHost: b\r\n\r\n`],
    ['the same Host twice (3.2)', `${GET}\r\nHost: a\r\nhost: a\r\n\r\n`],
    ['a Host with a path (3.2)', `${GET}\r\nHost: a/b\r\n\r\n`],
    ['a Host with a user (3.2)', `${GET}\r\nHost: a@b\r\n\r\n`],
    ['a Host with a space (3.2)', `${GET}\r\nHost: a b\r\n\r\n`],
    ['a Host whose port is none (3.2)', `${GET}\r\nHost: a:b\r\n\r\n`],
    ['two Hosts of HTTP/1.0 (3.2)', 'GET /health HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n'],
    ['a space before the colon (5.1)', `${GET}\r\nHost: x\r\nA : b\r\n\r\n`],
    ['a line that goes on (5.2)', `${GET}\r\nHost: x\r\nA: b\r\n c\r\n\r\n`],
    ['a space before the first header (2.2)', `${GET}\r\n Host: x\r\n\r\n`],
    ['a carriage return alone (2.2)', `${GET}\r\nHost: x\r\nA: b\rc: d\r\n\r\n`],
    ['two lengths (6.3)', `${POST}\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`],
    ['the same length twice (6.3)', `${POST}\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
    ['a list of lengths (6.3)', `${POST}\r\nContent-Length: 3, 3\r\n\r\nabc`],
    ['a length with a sign (6.3)', `${POST}\r\nContent-Length: +3\r\n\r\nabc`],
    ['a length in hexadecimal (6.3)', `${POST}\r\nContent-Length: 0x3\r\n\r\nabc`],
    ['a negative length (6.3)', `${POST}\r\nContent-Length: -3\r\n\r\nabc`],
    [
      'length and chunks (6.3)',
      `${POST}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'chunks and length (6.3)',
      `${POST}\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`,
    ],
    ['chunks that come first (6.3)', `${POST}\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`],
    ['chunks of chunks (6.1)', `${POST}\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
    [
      'a transfer coding that is not known (6.1)',
      `${POST}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    ],
    ['chunks of HTTP/1.0 (6.1)', 'POST /bcache HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    [
      'a chunk whose size is none (7.1)',
      `${POST}\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n`,
    ],
    [
      'a chunk that is longer than it says (7.1)',
      `${POST}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n`,
    ],
  ])('is answered 400, and the connection is closed: %s', async (_what, bytes) => {
    const response = await askRaw(server, `${bytes}${GET}\r\nHost: x\r\n\r\n`);
    expect(response.status).toBe(400);
    expect(headerOf(response, 'Connection')).toBe('close');
    expect(await readdir(join(server.root, 'bcache')).catch(() => [])).toEqual([]);
  });

  it('is answered 417 for an expectation that is not known (RFC 9110, 10.1.1)', async () => {
    const response = await askRaw(server, `${GET}\r\nHost: x\r\nExpect: tea\r\n\r\n`);
    expect([response.status, headerOf(response, 'Connection')]).toEqual([417, 'close']);
  });
});

describe('what RFC 9112 allows', () => {
  it.each([
    ['a name', 'Host: cache.example.org'],
    ['a name with a port', 'Host: cache_1:5050'],
    ['an IPv4 address', 'Host: 127.0.0.1:80'],
    ['an IPv6 address', 'HOST: [::1]:80'],
    ['an IPv6 address with a zone', 'Host: [fe80::1%25eth0]'],
    ['an empty one', 'Host: '],
    ['a port that is left out', 'Host: a:'],
  ])('is answered, whatever the Host is: %s', async (_what, host) => {
    const connection = await RawConnection.open(server);
    connection.send(`${GET}\r\n${host}\r\n\r\n${GET}\r\n${host}\r\nConnection: close\r\n\r\n`);
    expect([(await connection.response()).status, (await connection.response()).status]).toEqual([200, 200]);
    connection.destroy();
  });

  it('is answered: HTTP/1.0 without Host, an absolute target, and Chunked', async () => {
    expect((await askRaw(server, 'GET /health HTTP/1.0\r\n\r\n')).status).toBe(200);
    expect((await ask(server, 'http://elsewhere/health')).status).toBe(200);
    const response = await ask(server, '/bcache', {
      method: 'POST',
      headers: { 'Transfer-Encoding': 'Chunked' },
      body: '3\r\nabc\r\n0\r\n\r\n',
    });
    expect(response.status).toBe(201);
  });
});
