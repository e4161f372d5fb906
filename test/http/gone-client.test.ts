import { describe, expect, it, onTestFinished } from 'vitest';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { say } from './outside-programs.ts';
import { RawConnection } from './raw-connection.ts';
import { mostHeld } from './socket-buffers.ts';
import { StorageObserver } from './storage-observer.ts';
import { temporaryFiles } from './upload-client.ts';

const MIB = 1024 * 1024;
/** However much the connection holds, it is little of a blob. */
const SIZE = Math.max(1024 * MIB, 16 * mostHeld());

async function start(): Promise<{ server: HttpServer; observer: StorageObserver; target: string }> {
  const observer = new StorageObserver();
  const server = await startHttpServer({ wrapStorage: observer.wrap });
  onTestFinished(async () => {
    await server.stop();
  });
  return { server, observer, target: `/bcache/${await server.addSparseBlob(SIZE)}` };
}

describe('a client that goes away', () => {
  it('stops the reading at once when it only looked whether the blob is there', async () => {
    const { server, observer, target } = await start();
    let most = 0;
    for (let round = 1; round <= 20; round++) {
      observer.bytesRead = 0;
      const connection = await RawConnection.open(server);
      connection.request(target, { headers: { Connection: 'close' } });
      expect((await connection.head()).status).toBe(200);
      connection.destroy();
      await expect.poll(() => [server.lines.length, observer.openObjects]).toEqual([round, 0]);
      most = Math.max(most, observer.bytesRead);
    }
    say(`probe of a blob of ${SIZE / MIB} MiB: at most ${(most / MIB).toFixed(2)} MiB read in 20 rounds`);
    expect(most).toBeLessThan(mostHeld());
  });

  it('is not read for beyond what the connection holds while it takes nothing', async () => {
    const { server, observer, target } = await start();
    const connection = await RawConnection.open(server);
    connection.request(target);
    await connection.discard(10 * MIB);
    const taken = observer.bytesRead;
    connection.destroy();
    await expect.poll(() => [server.lines.length, observer.openObjects]).toEqual([1, 0]);
    say(`download left after 10 MiB: ${(observer.bytesRead / MIB).toFixed(2)} MiB read`);
    expect(observer.bytesRead).toBeLessThan(taken + mostHeld());
    expect(observer.bytesRead).toBeLessThan(10 * MIB + mostHeld());
  });

  it('had sent many requests at once: only one of them was begun, and nothing stays open', async () => {
    const { server, observer, target } = await start();
    const connection = await RawConnection.open(server);
    for (let count = 0; count < 300; count++) connection.request(target);
    await connection.discard(MIB);
    expect(observer.openObjects).toBe(1);
    connection.destroy();
    await expect.poll(() => [server.lines.length, observer.openObjects]).toEqual([1, 0]);
    expect(observer.names.filter((name) => name.startsWith('bcache/')).length).toBeLessThan(5);
  });

  it('is cut off when it sends requests without end and reads no answers: they would fill the memory', async () => {
    const { server, observer, target } = await start();
    const connection = await RawConnection.open(server);
    connection.request(target);
    await connection.discard(MIB);
    const many = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(10_000));
    let sent = 0;
    while (sent < 100 && (await connection.sendAll(many))) sent++;
    expect(sent).toBeLessThan(100);
    await expect.poll(() => observer.openObjects).toBe(0);
    const other = await RawConnection.open(server);
    other.request('/health', { headers: { Connection: 'close' } });
    expect((await other.response()).status).toBe(200);
  });

  it('takes nothing away from the others', async () => {
    const { server, observer, target } = await start();
    const size = 32 * MIB;
    const staying = await RawConnection.open(server);
    staying.request(target, { headers: { Range: `bytes=0-${size - 1}`, Connection: 'close' } });
    await staying.head();
    for (let count = 0; count < 10; count++) {
      const leaving = await RawConnection.open(server);
      leaving.request(target);
      await leaving.head();
      await staying.discard(MIB);
      leaving.destroy();
    }
    await staying.discard(size - 10 * MIB);
    expect(await staying.rest()).toHaveLength(0);
    await expect.poll(() => [server.lines.length, observer.openObjects]).toEqual([11, 0]);
    expect(server.lines.filter(({ aborted }) => !aborted)).toHaveLength(1);
  });

  it('gets the bytes of its own blob only, also after buffers were used by others', async () => {
    const { server, target } = await start();
    const digest = await server.addBlob(Buffer.alloc(4 * MIB, 0xee));
    for (let round = 0; round < 10; round++) {
      const leaving = await RawConnection.open(server);
      leaving.request(`/bcache/${digest}`);
      await leaving.head();
      leaving.destroy();
      const zeros = await RawConnection.open(server);
      zeros.request(target, { headers: { Range: `bytes=0-${2 * MIB - 1}`, Connection: 'close' } });
      expect((await zeros.response()).body.equals(Buffer.alloc(2 * MIB))).toBe(true);
    }
  });
});

describe('an uploading client', () => {
  it.each([0, 1000])(
    'that went away before its body was asked for ends, %i bytes of it sent',
    async (sent) => {
      let [begun, aborted, go]: [boolean, boolean, () => void] = [false, false, () => undefined];
      const server = await startHttpServer({
        parts: (usual) => ({ ...usual, access: { anonymous: 'upload' } }),
        wrapStorage: (storage) => ({
          ...storage,
          create: async (size) => {
            begun = true;
            await new Promise<void>((resolve) => (go = resolve));
            const writer = await storage.create(size);
            return {
              ...writer,
              abort: async () => {
                await writer.abort();
                aborted = true;
              },
            };
          },
        }),
      });
      onTestFinished(async () => {
        await server.stop();
      });
      const connection = await RawConnection.open(server);
      connection.send(
        `POST /bcache HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n${'x'.repeat(sent)}`,
      );
      await expect.poll(() => begun).toBe(true);
      connection.destroy();
      await expect.poll(() => server.lines.length).toBe(1);
      go();
      await expect.poll(() => aborted).toBe(true);
      expect(await temporaryFiles(server.root)).toEqual([]);
    },
  );
});
