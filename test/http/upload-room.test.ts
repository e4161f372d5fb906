import { rm, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ask, RawConnection, type Place } from './raw-connection.ts';
import { chunk, everythingBelow, temporaryFiles, upload } from './upload-client.ts';

const MIB = 1024 * 1024;
const CHUNKED = { 'Transfer-Encoding': 'chunked' };

async function start(options: HttpServerOptions): Promise<HttpServer> {
  const server = await startHttpServer({
    ...options,
    parts: (usual) => ({
      ...usual,
      access: { anonymous: 'upload' },
      upload: { ...usual.upload, allowUnsigned: true },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

describe('min-free-space', () => {
  it('is asked for before the first byte of an upload of unknown size is written', async () => {
    const server = await start({ minFreeSpace: 2 ** 50 });
    const connection = await RawConnection.open(server);
    connection.send('POST /bcache HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n');
    expect((await connection.response()).status).toBe(507);
    connection.destroy();
  });

  it('refuses an upload up front, by its length', async () => {
    let begun = 0;
    const { bavail, bsize } = await statfs(tmpdir());
    const server = await start({
      minFreeSpace: 64 * MIB,
      wrapStorage: (storage) => ({
        ...storage,
        create: async (size) => {
          const writer = await storage.create(size);
          begun++;
          return writer;
        },
      }),
    });
    const connection = await RawConnection.open(server);
    // Others may free some meanwhile.
    const length = String(2 * bavail * bsize);
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': length } });
    const response = await connection.response();
    connection.destroy();
    expect(response.status).toBe(507);
    expect(begun).toBe(0);
    // The client is told nothing of paths; the log is.
    expect(response.body.toString()).toMatch(/^the store is full/);
    expect(response.body.toString()).not.toContain(server.root);
    expect(String(server.failures[0]?.error)).toContain(server.root);
    expect((await upload(server, 'small')).status).toBe(201);
  });

  it('holds for entries, too', async () => {
    const server = await start({});
    const sha512 = await server.addBlob('content');
    const entry = JSON.stringify([JSON.stringify(membersOf(RAPID_CDN, { sha512 })), '']);
    const full = await start({ root: server.root, minFreeSpace: 2 ** 50 });
    const request = { method: 'PUT', target: `/bdir/${keyOfSoftwareUrl(RAPID_CDN)}` } as const;
    expect((await upload(full, entry, request)).status).toBe(507);
    expect((await upload(server, entry, request)).status).toBe(201);
  });

  it('shows its refusal to a client that sends everything before it reads', async () => {
    const server = await start({ minFreeSpace: 2 ** 50 });
    expect((await upload(server, Buffer.alloc(64 * MIB))).status).toBe(507);
    expect(await everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
  });
});

describe('a small disk', () => {
  let disk: string;

  beforeEach(async () => {
    disk = join(await temporaryFolder(), 'disk');
  });

  async function free(): Promise<number> {
    const { bavail, bsize } = await statfs(disk);
    return bavail * bsize;
  }

  it('that is full: 507, reads go on, and uploads work when there is room again', async (context: TestContext) => {
    await mountTmpfs(context, disk, 64 * MIB);
    const server = await start({ root: join(disk, 'store') });
    const kept = Buffer.alloc(8 * MIB, 'kept');
    const digest = digestOf(kept);
    expect((await upload(server, kept)).status).toBe(201);
    const members = membersOf(RAPID_CDN, { sha512: digest });
    const key = keyOfSoftwareUrl(RAPID_CDN);
    const putEntry = (version: string): ReturnType<typeof upload> =>
      upload(server, JSON.stringify([JSON.stringify({ ...members, os: ['debian', version, '-'] }), '']), {
        method: 'PUT',
        target: `/bdir/${key}`,
      });
    expect((await putEntry('11')).status).toBe(201);
    const before = await everythingBelow(server.root);
    const expectReads = async (): Promise<void> => {
      expect((await ask(server, `/bcache/${digest}`)).body.equals(kept)).toBe(true);
      expect(JSON.parse((await ask(server, `/bdir/${key}`)).body.toString())).toHaveLength(1);
      expect((await ask(server, '/health')).status).toBe(200);
      expect(await everythingBelow(server.root)).toEqual(before);
    };

    const large = Buffer.alloc(80 * MIB, 'large');
    expect((await upload(server, large)).status).toBe(507);
    await expectReads();
    // Of unknown length: it is found out while writing.
    expect(
      (await upload(server, Buffer.concat([chunk(large), chunk('')]), { headers: CHUNKED })).status,
    ).toBe(507);
    await expectReads();

    const ballast = join(disk, 'ballast');
    await writeFile(ballast, Buffer.alloc(await free()));
    expect(await free()).toBe(0);
    expect((await upload(server, 'small')).status).toBe(507);
    const small = Buffer.concat([chunk('small'), chunk('')]);
    expect((await upload(server, small, { headers: CHUNKED })).status).toBe(507);
    expect((await putEntry('12')).status).toBe(507);
    await expectReads();
    // A server that starts only now reads, too.
    const late = await start({ root: server.root });
    expect((await ask(late, `/bcache/${digest}`)).body.equals(kept)).toBe(true);
    expect((await upload(late, 'small')).status).toBe(507);
    for (const { error } of server.failures) expect(error).toMatchObject({ code: 'no-space' });

    await rm(ballast);
    expect((await upload(server, Buffer.alloc(40 * MIB, 'fits'))).status).toBe(201);
    expect((await putEntry('12')).status).toBe(201);
    expect(JSON.parse((await ask(server, `/bdir/${key}`)).body.toString())).toHaveLength(2);
  });

  it('keeps its reserve from an upload that does not tell its length', async (context: TestContext) => {
    await mountTmpfs(context, disk, 160 * MIB);
    const reserve = 64 * MIB;
    let least = Infinity;
    const server = await start({
      root: join(disk, 'store'),
      minFreeSpace: reserve,
      wrapStorage: (storage) => ({
        ...storage,
        create: async (size) => {
          const writer = await storage.create(size);
          return {
            ...writer,
            write: async (chunks) => {
              await writer.write(chunks);
              least = Math.min(least, await free());
            },
          };
        },
      }),
    });
    const body = Buffer.concat([chunk(Buffer.alloc(159 * MIB)), chunk('')]);
    expect((await upload(server, body, { headers: CHUNKED })).status).toBe(507);
    expect(least).toBeGreaterThan(0);
    expect(await temporaryFiles(server.root)).toEqual([]);
    expect(await free()).toBeGreaterThan(150 * MIB);
  });

  /** Begins an upload of so many bytes, and sends no more of it than it is told. */
  async function begin(place: Place, announced: number, content: Uint8Array): Promise<RawConnection> {
    const connection = await RawConnection.open(place);
    onTestFinished(() => {
      connection.destroy();
    });
    connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': String(announced) } });
    connection.send(content);
    return connection;
  }

  it('is not reserved by who announces all of it and sends nothing', async (context: TestContext) => {
    await mountTmpfs(context, disk, 64 * MIB);
    const server = await start({ root: join(disk, 'store') });
    const announced = await free();
    for (let count = 1; count <= 4; count++) {
      await begin(server, announced - MIB, Buffer.from('x'));
      await expect.poll(() => temporaryFiles(server.root)).toHaveLength(count);
    }
    expect((await upload(server, Buffer.alloc(40 * MIB, 'content'))).status).toBe(201);
  });

  it('is not kept from others by one client whose uploads do not end', async (context: TestContext) => {
    await mountTmpfs(context, disk, 64 * MIB);
    const server = await start({ root: join(disk, 'store') });
    const greedy = { ...server, localAddress: '127.0.0.2' };
    const connections: RawConnection[] = [];
    for (let count = 0; count < 4; count++)
      connections.push(await begin(greedy, 15 * MIB, Buffer.alloc(14 * MIB, 'greedy')));
    await expect.poll(free).toBeLessThan(9 * MIB);
    const content = Buffer.alloc(20 * MIB, 'content');
    expect((await upload(server, content)).status).toBe(507);
    // The next byte ends them: not one is let through for as long as others need the room.
    for (const connection of connections) {
      connection.send('x');
      expect((await connection.response()).status).toBe(507);
    }
    await expect.poll(() => temporaryFiles(server.root)).toEqual([]);
    expect((await upload(server, content)).status).toBe(201);
    expect((await upload(greedy, Buffer.alloc(30 * MIB, 'modest'))).status).toBe(201);
  });

  it('is had by one client alone, as long as nobody else needs it', async (context: TestContext) => {
    await mountTmpfs(context, disk, 64 * MIB);
    const server = await start({ root: join(disk, 'store') });
    const large = Buffer.alloc(60 * MIB, 'large');
    const connection = await begin(
      { ...server, localAddress: '127.0.0.2' },
      large.length,
      large.subarray(0, 40 * MIB),
    );
    await expect.poll(free).toBeLessThan(24 * MIB);
    // More than anybody's share: no reason to end the other.
    expect((await upload(server, Buffer.alloc(50 * MIB))).status).toBe(507);
    connection.send(large.subarray(40 * MIB));
    expect((await connection.response()).status).toBe(201);
  });

  it('is not filled by many uploads at once', async (context: TestContext) => {
    await mountTmpfs(context, disk, 64 * MIB);
    const server = await start({ root: join(disk, 'store') });
    const contents = Array.from({ length: 8 }, (_, index) => Buffer.alloc(16 * MIB, `content ${index}`));
    const responses = await Promise.all(contents.map((content) => upload(server, content)));
    const statuses = responses.map(({ status }) => status);
    expect(new Set(statuses)).toContain(507);
    for (const [index, content] of contents.entries()) {
      expect([201, 507]).toContain(statuses[index]);
      const read = await ask(server, `/bcache/${digestOf(content)}`);
      expect(read.status).toBe(statuses[index] === 201 ? 200 : 404);
      if (read.status === 200) expect(read.body.equals(content)).toBe(true);
    }
    expect(await temporaryFiles(server.root)).toEqual([]);
  });
});
