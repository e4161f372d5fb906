import fc from 'fast-check';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { isDigest } from '../../src/cache/digest.ts';
import { folderNameOf, isKey } from '../../src/cache/key.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { say } from '../http/outside-programs.ts';
import { ask, RawConnection, type Place } from '../http/raw-connection.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { BLOB_THERE, bytesOf, isWhole, uploadRequest, type UploadRequest } from './upload-requests.ts';
import { everythingBelow, temporaryFiles } from '../http/upload-client.ts';

/** So many that each of the expected answers comes: 409 to one of a hundred. */
const CASES = process.env['SHACACHE_HEAVY'] === undefined ? 1000 : 10_000;
const CONFIG =
  '[access]\nanonymous = upload\n[upload]\nallow-unsigned = true\nmin-free-space = 0\nmax-blob-size = 100 KB\n';

/** The statuses that came. */
async function send(place: Place, request: UploadRequest): Promise<readonly number[]> {
  const bytes = bytesOf(request);
  const connection = await RawConnection.open(place);
  const statuses: number[] = [];
  try {
    const cut = Math.floor(bytes.length * request.cut);
    await connection.sendAll(bytes.subarray(0, cut));
    if (request.leaves) return [];
    await connection.sendAll(bytes.subarray(cut));
    if (!isWhole(request)) {
      // An answer to another request: the server has seen the bytes. Then it is told that there are no more.
      await ask(place, '/health');
      connection.end();
      const text = (await connection.rest().catch(() => Buffer.alloc(0))).toString('latin1');
      return [...text.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
    }
    do statuses.push((await connection.head()).status);
    while (statuses.at(-1) === 100);
    return statuses;
  } catch {
    // What is no HTTP at all is answered by node's parser, which doesn't wait for the rest.
    return [];
  } finally {
    connection.destroy();
  }
}

describe('uploads of garbage', () => {
  it(
    `never crash the server, never get a 5xx and touch nothing but the store, ${CASES} times`,
    { timeout: 3_600_000 },
    async () => {
      const folder = await temporaryFolder();
      await mkdir(join(folder, 'neighbour'));
      await writeFile(join(folder, 'neighbour/file'), 'untouched');
      const serve = await ServeProcess.start({ folder, config: CONFIG });
      const place = { host: '127.0.0.1', port: await serve.port() };
      const there = await ask(place, '/bcache', {
        method: 'POST',
        headers: { 'Content-Length': String(BLOB_THERE.length) },
        body: BLOB_THERE,
      });
      expect(there.status).toBe(201);
      const outside = async (): Promise<readonly string[]> =>
        (await everythingBelow(folder)).filter((name) => !name.startsWith('store/'));
      const before = await outside();
      const statuses: Record<string, number> = {};

      const seed = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 2 ** 31);
      say(`uploads of garbage: seed ${seed}`);
      const property = fc.asyncProperty(uploadRequest, async (request) => {
        for (const status of await send(place, request)) {
          statuses[status] = (statuses[status] ?? 0) + 1;
          expect(status).toBeLessThan(500);
        }
      });
      await fc.assert(property, { numRuns: CASES, seed, timeout: 60_000 });

      // Some of it was not garbage: or else the store was never reached.
      say(`answers: ${JSON.stringify(statuses)}`);
      for (const status of ['201', '400', '409', '413'])
        expect(statuses[status] ?? 0, status).toBeGreaterThan(0);

      expect((await ask(place, '/health')).status).toBe(200);
      expect(await outside()).toEqual(before);
      expect(await readFile(join(folder, 'neighbour/file'), 'utf8')).toBe('untouched');
      await expect.poll(() => temporaryFiles(serve.root)).toEqual([]);
      await expectStore(serve.root);
      serve.signal('SIGTERM');
      expect(await serve.exit).toEqual({ code: 0, signal: null });
      expect(serve.stderr).not.toContain('"failure"');
    },
  );
});

/** What is in the store is what belongs there. */
async function expectStore(root: string): Promise<void> {
  expect((await readdir(root)).sort()).toEqual(['bcache', 'bdir', 'log', 'store.json', 'tmp']);
  const blobs = await readdir(join(root, 'bcache'));
  expect(blobs.filter((name) => !isDigest(name))).toEqual([]);
  const sums = join(root, '../SHA512SUMS');
  await writeFile(sums, blobs.map((name) => `${name}  ${name}\n`).join(''));
  await promisify(execFile)('sha512sum', ['--check', '--strict', '--quiet', sums], {
    cwd: join(root, 'bcache'),
  });
  const folders = existsSync(join(root, 'bdir')) ? await readdir(join(root, 'bdir')) : [];
  for (const name of folders) {
    const key = decodeURIComponent(name);
    expect(isKey(key) && folderNameOf(key) === name, name).toBe(true);
    const entries = await readdir(join(root, 'bdir', name));
    expect(entries.length).toBeGreaterThan(0);
    expect(entries.filter((entry) => !isDigest(entry))).toEqual([]);
  }
}
