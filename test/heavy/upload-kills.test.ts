import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { digestOf, isDigest, type Digest } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, type Key } from '../../src/cache/key.ts';
import { membersOf } from '../fixtures/entries.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { say } from '../http/outside-programs.ts';
import { ask, RawConnection, type Place } from '../http/raw-connection.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { temporaryFiles } from '../http/upload-client.ts';

const MIB = 1024 * 1024;
const ROUNDS = process.env['SHACACHE_HEAVY'] === undefined ? 10 : 300;
const CLIENTS = 4;
const CONFIG = '[access]\nanonymous = upload\n[upload]\nallow-unsigned = true\nmin-free-space = 0\n';

/** What got its 201 before the kill. */
interface Answered {
  readonly blobs: Digest[];
  readonly entries: { readonly key: Key; readonly pair: readonly string[] }[];
}

describe('kill -9 during uploads', () => {
  it(
    `leaves nothing partial and loses nothing answered, ${ROUNDS} times`,
    { timeout: 3_600_000 },
    async () => {
      const folder = await temporaryFolder();
      const random = incompressible(4 * MIB);
      let answered: Answered = { blobs: [], entries: [] };
      const total = { blobs: 0, entries: 0, leftovers: 0 };
      for (let round = 0; round <= ROUNDS; round++) {
        const serve = await ServeProcess.start({ folder, config: CONFIG });
        const place = { host: '127.0.0.1', port: await serve.port() };
        await expectWhole(serve, place, answered);
        total.blobs += answered.blobs.length;
        total.entries += answered.entries.length;
        if (round === ROUNDS) break;
        // Looked at once; the next rounds are the faster for it.
        for (const name of ['bcache', 'bdir'])
          await rm(join(serve.root, name), { recursive: true, force: true });
        answered = await uploadUntilKilled(serve, place, random, round);
        total.leftovers += (await temporaryFiles(serve.root)).length;
      }
      say(
        `${ROUNDS} kills: ${total.blobs} blobs and ${total.entries} entries were answered and are there; ${total.leftovers} temporary files were cleaned up`,
      );
      // Otherwise the kills came at the wrong time, and nothing was tested.
      expect(Math.min(total.blobs, total.entries, total.leftovers)).toBeGreaterThan(0);
    },
  );
});

/** Clients upload blobs and their entries, one after the other, until the server is killed in the middle of it. */
async function uploadUntilKilled(
  serve: ServeProcess,
  place: Place,
  random: Buffer,
  round: number,
): Promise<Answered> {
  const answered: Answered = { blobs: [], entries: [] };
  // Large blobs are hit while they are written, small ones between their last byte and the answer.
  const largest = round % 2 === 0 ? random.length : 8192;
  let left = randomInt(4 * CLIENTS * largest);
  let isKilled = false;
  const send = async (connection: RawConnection, bytes: Buffer): Promise<void> => {
    await connection.sendAll(bytes);
    left -= bytes.length;
    if (left < 0 && !isKilled) {
      isKilled = true;
      serve.signal('SIGKILL');
    }
  };

  /** @returns whether it was answered 201 */
  const put = async (method: string, target: string, body: Buffer): Promise<boolean> => {
    const connection = await RawConnection.open(place);
    try {
      connection.request(target, {
        method,
        headers: { 'Content-Length': String(body.length), Connection: 'close' },
      });
      for (let offset = 0; offset < body.length; offset += 64 * 1024)
        await send(connection, body.subarray(offset, offset + 64 * 1024));
      const { status } = await connection.response();
      expect(status).toBe(201);
      return true;
    } finally {
      connection.destroy();
    }
  };

  const client = async (number: number): Promise<void> => {
    for (let count = 0; ; count++) {
      const body = Buffer.from(random.subarray(0, randomInt(1, largest)));
      const sha512 = digestOf(body);
      const url = `https://example.org/${round}/${number}/${count}/software.cfg`;
      const key = keyOfSoftwareUrl(url);
      const pair = [JSON.stringify(membersOf(url, { sha512 })), ''];
      if (await put('POST', '/bcache', body)) answered.blobs.push(sha512);
      if (await put('PUT', `/bdir/${key}`, Buffer.from(JSON.stringify(pair))))
        answered.entries.push({ key, pair });
    }
  };

  const ends = await Promise.allSettled(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  // Every client ends by a lost connection and by nothing else.
  for (const end of ends) {
    const reason = end.status === 'rejected' ? String(end.reason) : 'it ended by itself';
    expect(reason).toMatch(/the connection ended|ECONNRE|EPIPE/);
  }
  expect(await serve.exit).toEqual({ code: null, signal: 'SIGKILL' });
  return answered;
}

async function expectWhole(
  { root, pid }: ServeProcess,
  place: Place,
  { blobs, entries }: Answered,
): Promise<void> {
  // The running server tries now and then whether it can write.
  const left = (await temporaryFiles(root)).filter((name) => !name.includes(`-${pid}-`));
  expect(left, `of others than ${pid}`).toEqual([]);
  const folder = join(root, 'bcache');
  const names = existsSync(folder) ? await readdir(folder) : [];
  expect(names.filter((name) => !isDigest(name))).toEqual([]);
  expect(names).toEqual(expect.arrayContaining(blobs));
  if (names.length > 0) {
    const sums = join(root, '../SHA512SUMS');
    await writeFile(sums, names.map((name) => `${name}  ${name}\n`).join(''));
    await promisify(execFile)('sha512sum', ['--check', '--strict', '--quiet', sums], { cwd: folder });
  }
  for (const name of names)
    expect((await ask(place, `/bcache/${name}`, { method: 'HEAD' })).status).toBe(200);
  for (const { key, pair } of entries)
    expect(JSON.parse((await ask(place, `/bdir/${key}`)).body.toString())).toEqual([pair]);
  // Answered or not: what is there is whole, and its blob was there before it.
  const keys = existsSync(join(root, 'bdir')) ? await readdir(join(root, 'bdir')) : [];
  for (const key of keys) {
    for (const name of await readdir(join(root, 'bdir', key))) {
      const { entry } = JSON.parse(await readFile(join(root, 'bdir', key, name), 'utf8')) as {
        entry: [string, string];
      };
      expect(digestOf(JSON.stringify(entry))).toBe(name);
      expect(names).toContain((JSON.parse(entry[0]) as { sha512: string }).sha512);
    }
  }
}
