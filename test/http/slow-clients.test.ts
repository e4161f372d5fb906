import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parseEntryText } from '../../src/cache/entry.ts';
import { parseKey } from '../../src/cache/key.ts';
import { acceptUnsigned } from '../../src/cache/signature.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { addSparseBlob } from '../fixtures/http-server.ts';
import { say } from './outside-programs.ts';
import { ask, RawConnection } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';
import { mostHeld } from './socket-buffers.ts';
import { isHeavy } from '../fixtures/heavy.ts';

const MIB = 1024 * 1024;
const ROUNDS = isHeavy ? 25 : 8;
const SIZE = 1024 * MIB;
const CLIENTS = 20;

const hasProc = existsSync('/proc/self/io');
if (!hasProc) say('skipped here: this system has no /proc to tell memory and reading from');

/** A client of about 6 MiB a second: it takes a piece at each tick, and never waits for the others. */
async function readSlowly(connection: RawConnection, bytes: number): Promise<void> {
  const piece = 256 * 1024;
  for (let taken = 0; taken < bytes; taken += piece) {
    const tick = new Promise((resolve) => setTimeout(resolve, 40));
    await connection.discard(piece);
    await tick;
  }
}

async function openDownloads(
  place: { host: string; port: number },
  target: string,
): Promise<RawConnection[]> {
  const connections = await Promise.all(Array.from({ length: CLIENTS }, () => RawConnection.open(place)));
  for (const connection of connections) {
    connection.request(target, { headers: { Connection: 'close' } });
    expect((await connection.head()).status).toBe(200);
  }
  return connections;
}

describe.skipIf(!hasProc)('a 1 GiB blob for 20 slow clients at once', () => {
  it('takes less than 200 MiB of memory', async () => {
    const serve = await ServeProcess.start();
    const place = { host: '127.0.0.1', port: await serve.port() };
    const atStart = await serve.peakMemory();
    const target = `/bcache/${await addSparseBlob(serve.root, SIZE)}`;
    const connections = await openDownloads(place, target);
    await Promise.all(connections.map((connection) => readSlowly(connection, 24 * MIB)));
    // The worst that can be done to buffers: to be fast for a while, and then to stop with all of them full.
    await Promise.all(connections.map((connection) => connection.discard(32 * MIB)));
    await Promise.all(connections.map((connection) => readSlowly(connection, 4 * MIB)));
    const peak = await serve.peakMemory();
    for (const connection of connections) connection.destroy();
    say(`20 slow downloads of 1 GiB: at most ${toMib(peak)} MiB of memory, ${toMib(atStart)} at the start`);
    expect(peak).toBeLessThan(200 * MIB);
  });

  it(`takes no more after ${ROUNDS} rounds of clients that leave`, async () => {
    const serve = await ServeProcess.start();
    const place = { host: '127.0.0.1', port: await serve.port() };
    const target = `/bcache/${await addSparseBlob(serve.root, SIZE)}`;
    for (let round = 0; round < ROUNDS; round++) {
      const connections = await openDownloads(place, target);
      await Promise.all(connections.map((connection) => connection.discard(MIB)));
      for (const connection of connections) connection.destroy();
    }
    const peak = await serve.peakMemory();
    say(`${ROUNDS} rounds of 20 clients that leave: at most ${toMib(peak)} MiB of memory`);
    expect(peak).toBeLessThan(200 * MIB);
  });

  it('is not read on for a client that only looked whether it is there', async () => {
    const serve = await ServeProcess.start();
    const place = { host: '127.0.0.1', port: await serve.port() };
    const target = `/bcache/${await addSparseBlob(serve.root, SIZE)}`;
    const before = await serve.bytesRead();
    const probe = await RawConnection.open(place);
    probe.request(target, { headers: { Connection: 'close' } });
    expect((await probe.head()).status).toBe(200);
    probe.destroy();
    await expect.poll(() => serve.stderr, { timeout: 10_000 }).toMatch(/"aborted":true/);
    const read = (await serve.bytesRead()) - before;
    say(`probe of a 1 GiB blob in a process of its own: ${toMib(read)} MiB read`);
    expect(read).toBeLessThan(mostHeld());
  });
});

function toMib(bytes: number): string {
  return (bytes / MIB).toFixed(1);
}

describe('long lists for clients that take nothing', { timeout: 180_000 }, () => {
  it('take a bounded memory: connections are cut, which the log says, and others are answered', async () => {
    const key = parseKey('some-key');
    const serve = await ServeProcess.start({
      async prepare(root) {
        const { directory } = await openStore(root, { mode: 'write' });
        for (let number = 0; number < 160; number++) {
          const text = JSON.stringify({ sha512: digestOf(''), number, more: 'x'.repeat(50_000) });
          await directory.add(key, acceptUnsigned(parseEntryText(JSON.stringify([text, '']))));
        }
      },
    });
    const place = { host: '127.0.0.1', port: await serve.port() };
    const { body } = await ask(place, `/bdir/${key}`);
    expect(body.length).toBeGreaterThan(8_000_000);
    const idle = await Promise.all(Array.from({ length: 50 }, () => RawConnection.open(place)));
    for (const connection of idle) connection.request(`/bdir/${key}`);
    await expect
      .poll(() => serve.stderr, { timeout: 20_000 })
      .toMatch(
        /"level":"warn".*\d+ connections? (?:was|were) cut: 128 MiB of answers waited for slow clients/,
      );
    expect((await ask(place, `/bdir/${key}`)).body.equals(body)).toBe(true);
    expect(serve.stderr.match(/of answers waited/g)).toHaveLength(1);
    for (const connection of idle) connection.destroy();
  });
});
