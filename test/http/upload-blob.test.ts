import { execFileSync } from 'node:child_process';
import { chmod, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { blobName } from '../../src/cache/layout.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { chunk, everythingBelow, temporaryFiles, upload } from './upload-client.ts';

const MIB = 1024 * 1024;
const CONTENT = incompressible(3 * MIB + 17);
const DIGEST = digestOf(CONTENT);
const CHUNKED = { 'Transfer-Encoding': 'chunked' };

interface WriteOptions extends HttpServerOptions {
  readonly maxBlobSize?: number;
}

async function start({ maxBlobSize = 2 ** 40, ...options }: WriteOptions = {}): Promise<HttpServer> {
  const server = await startHttpServer({
    ...options,
    parts: (usual) => ({
      ...usual,
      access: { anonymous: 'upload' },
      upload: { ...usual.upload, maxBlobSize },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

function expectStored(response: RawResponse, digest: Digest): void {
  expect(response.body.toString('latin1')).toBe(digest);
  expect(response.status).toBe(201);
  expect(headerOf(response, 'Content-Length')).toBe('128');
}

async function expectBlob(server: HttpServer, content: Uint8Array): Promise<void> {
  const response = await ask(server, `/bcache/${digestOf(content)}`);
  expect(response.status).toBe(200);
  expect(response.body.equals(content)).toBe(true);
}

async function expectNothingStored(server: HttpServer): Promise<void> {
  await expect.poll(() => everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
}

function pathOf(server: HttpServer, digest: Digest): string {
  return join(server.root, blobName(digest));
}

describe('POST /bcache', () => {
  it.each(['/bcache', '/bcache/', '/bcache?x=1'])('to %s answers 201 and the bare digest', async (target) => {
    const server = await start();
    expectStored(await upload(server, CONTENT, { target }), DIGEST);
    expect(await readdir(join(server.root, 'bcache'))).toEqual([DIGEST]);
    const judgement = execFileSync('sha512sum', [pathOf(server, DIGEST)], { encoding: 'latin1' });
    expect(judgement.slice(0, 128)).toBe(DIGEST);
    expect(await temporaryFiles(server.root)).toEqual([]);
    await expectBlob(server, CONTENT);
  });

  it('is the same for an upload that comes with another type or none', async () => {
    const server = await start();
    for (const type of ['application/octet-stream', 'application/json', 'multipart/form-data; boundary=x'])
      expectStored(await upload(server, CONTENT, { headers: { 'Content-Type': type } }), DIGEST);
  });

  it('stores an empty blob', async () => {
    const server = await start();
    const empty = digestOf('');
    expectStored(await upload(server, ''), empty);
    expectStored(await upload(server, chunk(''), { headers: CHUNKED }), empty);
    // Without any framing there is no body (RFC 9112, 6.3).
    expectStored(await ask(server, '/bcache', { method: 'POST' }), empty);
    expect((await ask(server, `/bcache/${empty}`)).status).toBe(200);
  });

  it('answers 201 for a blob that is there already', async () => {
    const server = await start();
    for (let round = 0; round < 3; round++) expectStored(await upload(server, CONTENT), DIGEST);
    await expectBlob(server, CONTENT);
    const blob = `bcache/${DIGEST}`;
    expect(await everythingBelow(server.root)).toEqual([
      'bcache',
      blob,
      'log',
      ...Array.from({ length: 3 }, () => expect.stringMatching(/^log\//) as string),
      'store.json',
      'tmp',
    ]);
  });

  it('takes the same blob from many at once', async () => {
    const server = await start();
    const responses = await Promise.all(Array.from({ length: 10 }, () => upload(server, CONTENT)));
    for (const response of responses) expectStored(response, DIGEST);
    await expectBlob(server, CONTENT);
    expect(await temporaryFiles(server.root)).toEqual([]);
  });

  it('takes several on one connection, between other requests', async () => {
    const server = await start();
    const connection = await RawConnection.open(server);
    for (const content of [CONTENT.subarray(0, 100_000), CONTENT.subarray(5), Buffer.alloc(0)]) {
      connection.request('/bcache', {
        method: 'POST',
        headers: { 'Content-Length': String(content.length) },
      });
      connection.send(content);
      expectStored(await connection.response(), digestOf(content));
      connection.request(`/bcache/${digestOf(content)}`);
      expect((await connection.response()).body.equals(content)).toBe(true);
    }
    connection.destroy();
  });

  it('has its answer followed by that to a request which was sent ahead', async () => {
    const server = await start();
    const earlier = await server.addBlob('earlier');
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': '3' }, body: 'abc' });
    connection.request(`/bcache/${earlier}`);
    expectStored(await connection.response(), digestOf('abc'));
    expect((await connection.response()).body.toString()).toBe('earlier');
    connection.destroy();
  });
});

describe('a body in chunks', () => {
  it.each([1, 7, 1000, 65_536, 10 * MIB])('of up to %d bytes is stored', async (size) => {
    const server = await start();
    const content = CONTENT.subarray(0, Math.min(CONTENT.length, size * 3000));
    const pieces: Buffer[] = [];
    for (let offset = 0; offset < content.length; offset += size)
      pieces.push(chunk(content.subarray(offset, offset + size)));
    expectStored(
      await upload(server, Buffer.concat([...pieces, chunk('')]), { headers: CHUNKED }),
      digestOf(content),
    );
    await expectBlob(server, content);
  });

  it('may have extensions and trailers, which are no part of the blob', async () => {
    const server = await start();
    const body = '3;name=value\r\nabc\r\n2;x\r\nde\r\n0\r\nChecksum: 1\r\n\r\n';
    expectStored(await upload(server, body, { headers: CHUNKED }), digestOf('abcde'));
  });
});

describe('PUT /bcache/<sha512>', () => {
  it('answers 201 and the digest when the bytes have it', async () => {
    const server = await start();
    expectStored(await upload(server, CONTENT, { method: 'PUT', target: `/bcache/${DIGEST}` }), DIGEST);
    await expectBlob(server, CONTENT);
  });

  it('refuses bytes that hash to something else, and names both', async () => {
    const server = await start();
    const other = digestOf('other');
    const response = await upload(server, CONTENT, { method: 'PUT', target: `/bcache/${other}` });
    expect(response.status).toBe(400);
    expect(response.body.toString()).toContain(DIGEST);
    expect(response.body.toString()).toContain(other);
    await expectNothingStored(server);
  });

  it('leaves the blob that is there when the bytes are wrong', async () => {
    const server = await start();
    await upload(server, CONTENT);
    const wrong = await upload(server, 'wrong', { method: 'PUT', target: `/bcache/${DIGEST}` });
    expect(wrong.status).toBe(400);
    await expectBlob(server, CONTENT);
  });

  it.each(['', 'x', DIGEST.toUpperCase(), DIGEST.slice(1), `${DIGEST}0`, `${DIGEST}/`, `x/${DIGEST}`])(
    'stores nothing under what is no digest: "%s"',
    async (name) => {
      const server = await start();
      const response = await upload(server, CONTENT, { method: 'PUT', target: `/bcache/${name}` });
      expect([400, 405]).toContain(response.status);
      await expectNothingStored(server);
    },
  );
});

describe('a stored blob that has gone bad', () => {
  it.each<[string, (path: string) => Promise<void>]>([
    [
      'with a flipped byte',
      async (path) => {
        const bytes = await readFile(path);
        bytes[1000] = (bytes[1000] ?? 0) ^ 1;
        await writeFile(path, bytes);
      },
    ],
    ['cut off', (path) => truncate(path, 1000)],
    ['emptied', (path) => truncate(path, 0)],
    ['longer', (path) => writeFile(path, 'x', { flag: 'a' })],
  ])('%s is replaced by a good upload', async (_what, spoil) => {
    const server = await start();
    await upload(server, CONTENT);
    const path = pathOf(server, DIGEST);
    await chmod(path, 0o644);
    await spoil(path);
    expect((await readFile(path)).equals(CONTENT)).toBe(false);
    expectStored(await upload(server, CONTENT), DIGEST);
    await expectBlob(server, CONTENT);
    expect((await stat(path)).mode & 0o222).toBe(0);
  });
});

describe('an upload that ends too early', () => {
  const cuts = [0, 1, 1000, 65_535, 65_536, MIB, CONTENT.length - 1];

  /** Sends the first `cut` bytes and waits until the store has them in a temporary file. */
  async function begin(
    server: HttpServer,
    cut: number,
    headers: Readonly<Record<string, string>>,
    frame: (bytes: Buffer) => Buffer,
  ): Promise<RawConnection> {
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers });
    if (cut > 0) connection.send(frame(CONTENT.subarray(0, cut)));
    await expect
      .poll(async () => {
        const [name] = await temporaryFiles(server.root);
        return name === undefined ? undefined : (await stat(join(server.root, 'tmp', name))).size;
      })
      .toBe(cut);
    return connection;
  }

  describe.each<[string, Readonly<Record<string, string>>, (bytes: Buffer) => Buffer]>([
    ['with Content-Length', { 'Content-Length': String(CONTENT.length) }, (bytes) => bytes],
    ['in chunks', CHUNKED, chunk],
    // The connection is lost within a chunk.
    ['within a chunk', CHUNKED, (bytes) => Buffer.concat([Buffer.from('ffffff\r\n'), bytes])],
  ])('%s', (_how, headers, frame) => {
    it.each(cuts)('leaves nothing when the connection is lost after %d bytes', async (cut) => {
      const server = await start();
      const connection = await begin(server, cut, headers, frame);
      connection.destroy();
      await expectNothingStored(server);
      await expect.poll(() => server.lines).toMatchObject([{ status: 0, aborted: true }]);
      expect(server.failures).toEqual([]);
    });

    it.each(cuts)(
      'leaves nothing when the client sends no more after %d bytes, and still listens',
      async (cut) => {
        const server = await start();
        const connection = await begin(server, cut, headers, frame);
        connection.end();
        // The parser of node answers by itself.
        expect((await connection.rest()).toString('latin1')).toMatch(/^(HTTP\/1\.1 400 |$)/);
        await expectNothingStored(server);
        await expect.poll(() => server.lines).toHaveLength(1);
        expect(server.failures).toEqual([]);
      },
    );
  });

  it('leaves nothing when a chunk is none', async () => {
    const server = await start();
    const connection = await begin(server, 1000, CHUNKED, chunk);
    connection.send('no hex digits\r\n');
    expect((await connection.rest()).toString('latin1')).toMatch(/^HTTP\/1\.1 400 /);
    await expectNothingStored(server);
    expect(server.failures).toEqual([]);
    connection.destroy();
  });

  it('takes nothing away from an upload of the same blob', async () => {
    const server = await start();
    const connections: RawConnection[] = [];
    for (const cut of [1000, MIB]) {
      const connection = await RawConnection.open(server);
      connection.request('/bcache', {
        method: 'POST',
        headers: { 'Content-Length': String(CONTENT.length) },
      });
      connection.send(CONTENT.subarray(0, cut));
      connections.push(connection);
    }
    await expect.poll(() => temporaryFiles(server.root)).toHaveLength(2);
    const whole = upload(server, CONTENT);
    for (const connection of connections) connection.destroy();
    expectStored(await whole, DIGEST);
    await expect.poll(() => temporaryFiles(server.root)).toEqual([]);
    await expectBlob(server, CONTENT);
  });

  it('is not visible while it runs', async () => {
    const server = await start();
    const connection = await begin(
      server,
      CONTENT.length - 1,
      { 'Content-Length': String(CONTENT.length) },
      (bytes) => bytes,
    );
    expect((await ask(server, `/bcache/${DIGEST}`)).status).toBe(404);
    connection.send(CONTENT.subarray(-1));
    expectStored(await connection.response(), DIGEST);
    expect((await ask(server, `/bcache/${DIGEST}`)).status).toBe(200);
    connection.destroy();
  });
});

describe('a blob larger than max-blob-size', () => {
  it('is refused before anything of it is sent, and nothing is begun', async () => {
    let begun = 0;
    const server = await start({
      maxBlobSize: 1000,
      wrapStorage: (storage) => ({ ...storage, create: (size) => (begun++, storage.create(size)) }),
    });
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': '1001' } });
    const response = await connection.response();
    expect(response.status).toBe(413);
    expect(response.body.toString()).toContain('1000 bytes');
    expect(headerOf(response, 'Connection')).toBe('close');
    expect(begun).toBe(0);
    connection.destroy();
  });

  it('is refused under its digest, too', async () => {
    const server = await start({ maxBlobSize: 1000 });
    const response = await upload(server, CONTENT, { method: 'PUT', target: `/bcache/${DIGEST}` });
    expect(response.status).toBe(413);
    await expectNothingStored(server);
  });

  it('may be of just that size', async () => {
    const server = await start({ maxBlobSize: 1000 });
    const content = CONTENT.subarray(0, 1000);
    expectStored(await upload(server, content), digestOf(content));
    const body = Buffer.concat([chunk(content.subarray(1)), chunk(content.subarray(0, 1)), chunk('')]);
    expect((await upload(server, body, { headers: CHUNKED })).status).toBe(201);
    const longer = Buffer.concat([chunk(content), chunk('x'), chunk('')]);
    expect((await upload(server, longer, { headers: CHUNKED })).status).toBe(413);
  });

  it('is refused while it is read when it comes in chunks', async () => {
    const server = await start({ maxBlobSize: MIB });
    const connection = await RawConnection.open(server);
    connection.request('/bcache', { method: 'POST', headers: CHUNKED });
    connection.send(chunk(CONTENT.subarray(0, MIB)));
    await expect.poll(() => temporaryFiles(server.root)).toHaveLength(1);
    connection.send(chunk('x'));
    expect((await connection.response()).status).toBe(413);
    await expectNothingStored(server);
    connection.destroy();
  });

  it.each(['9007199254740993', '99999999999999999999', '1e3', '-1', '0x10', '+5', '5, 6', '5 5', ''])(
    'is not let through by a length of "%s"',
    async (length) => {
      const server = await start({ maxBlobSize: 2 });
      const connection = await RawConnection.open(server);
      connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': length }, body: 'abcde' });
      expect([400, 413]).toContain((await connection.response()).status);
      await expectNothingStored(server);
      connection.destroy();
    },
  );

  it('is not let through by a length beside chunks', async () => {
    const server = await start();
    const headers = { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' };
    expect((await upload(server, '5\r\nabcde\r\n0\r\n\r\n', { headers })).status).toBe(400);
    await expectNothingStored(server);
  });

  it('shows its refusal to a client that sends everything before it reads', async () => {
    const server = await start({ maxBlobSize: MIB });
    const content = Buffer.alloc(96 * MIB);
    expect((await upload(server, content)).status).toBe(413);
    const chunks = Buffer.concat([chunk(content), chunk('')]);
    expect((await upload(server, chunks, { headers: CHUNKED })).status).toBe(413);
    expect(server.lines).toMatchObject([
      { status: 413, aborted: false },
      { status: 413, aborted: false },
    ]);
  });
});
