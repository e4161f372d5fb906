import { randomBytes } from 'node:crypto';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { writeFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parseKey } from '../../src/cache/key.ts';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { makeStore } from '../../src/storage/open-store.ts';
import { type Engine, hasEngine, makeBucket, ON_ENGINE, startEngine } from '../fixtures/ceph.ts';
import { type FaultyProxy, startFaultyProxy } from '../fixtures/faulty-proxy.ts';
import { makePairByOpenssl, signerOf } from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache } from '../cli/command.ts';
import { serveFrom } from '../cli/served.ts';

let engine: Engine;
let proxy: FaultyProxy;
let folder: string;
let signer: Signer;

beforeAll(async () => {
  if (hasEngine) engine = await startEngine();
}, 120_000);

beforeEach(async () => {
  if (!hasEngine) return;
  folder = await temporaryFolder();
  signer = signerOf(await makePairByOpenssl(folder, 'sign'));
  proxy = await startFaultyProxy(engine.endpoint);
  const url = `s3://${await makeBucket(engine)}/store`;
  await makeStore(url, { access: engine });
  await writeFile(
    join(folder, 'config.ini'),
    `[store]\nurl = ${url}\nendpoint = ${proxy.endpoint}\naccess-key-id = ${engine.key.id}\nsecret-access-key = ${engine.key.secret}\n[access]\nanonymous = upload\n`,
  );
});

const serve = async (): Promise<string> => (await serveFrom(folder, '-c', 'config.ini')).url;

function pairFor(sha512: string, version: number): VerifiedEntry['pair'] {
  const text = JSON.stringify({ sha512, version });
  return signer.sign(text).pair;
}

async function put(url: string, body: Uint8Array | string): Promise<number> {
  const answer = await fetch(url, { method: 'PUT', body });
  await answer.arrayBuffer();
  return answer.status;
}

describe.skipIf(!hasEngine)(`servers on one bucket${ON_ENGINE}`, () => {
  it(
    'lose and double nothing of what many write at once, also while gc runs',
    { timeout: 300_000 },
    async () => {
      const [one, two] = [await serve(), await serve()];
      const bytes = randomBytes(18_000_000);
      const blob = digestOf(bytes);
      const key = parseKey('file-private:firmware');
      const versions = Array.from({ length: 50 }, (_, version) => version);
      const writing = new AbortController();
      const collecting = async (): Promise<void> => {
        while (!writing.signal.aborted) {
          const { code, stderr } = await runCache(
            folder,
            'gc',
            '-c',
            'config.ini',
            '--unnamed',
            '--allow-empty',
          );
          expect([code, stderr]).toEqual([0, expect.anything()]);
        }
      };
      const writer = async (index: number): Promise<void> => {
        const server = index % 2 === 0 ? one : two;
        expect(await put(`${server}/bcache/${blob}`, bytes)).toBe(201);
        // Each entry comes from two writers.
        for (const version of versions.filter((each) => each % 4 === index % 4))
          expect(await put(`${server}/bdir/${key}`, JSON.stringify(pairFor(blob, version)))).toBe(201);
      };
      const writers = Promise.all(Array.from({ length: 8 }, (_, index) => writer(index))).finally(() => {
        writing.abort();
      });
      await Promise.all([writers, collecting()]);
      for (const server of [one, two]) {
        const found = (await (await fetch(`${server}/bdir/${key}`)).json()) as [string, string][];
        const texts = found.map(([text]) => (JSON.parse(text) as { version: number }).version);
        expect(texts.sort((a, b) => a - b)).toEqual(versions);
        const got = await fetch(`${server}/bcache/${blob}`);
        expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
      }
      expect(await runCache(folder, 'verify', '-c', 'config.ini', '--deep')).toMatchObject({ code: 0 });
    },
  );

  it('ask for the list of a key at most once a second, whatever the load', async () => {
    const server = await serve();
    const blob = digestOf(Buffer.from('x'));
    await put(`${server}/bcache/${blob}`, 'x');
    await put(`${server}/bdir/some-key`, JSON.stringify(pairFor(blob, 1)));
    const lists = (): number =>
      proxy.requests.filter((text) => text.includes('list-type=2') && text.includes('some-key')).length;
    const [before, began] = [lists(), Date.now()];
    let count = 0;
    while (Date.now() - began < 2500) {
      const answers = await Promise.all(Array.from({ length: 30 }, () => fetch(`${server}/bdir/some-key`)));
      for (const answer of answers) expect(await answer.json()).toHaveLength(1);
      count += answers.length;
    }
    expect(count).toBeGreaterThan(50);
    expect(lists() - before).toBeLessThanOrEqual(Math.ceil((Date.now() - began) / 900) + 1);
  });

  it('serve no wrong byte as a complete blob', async () => {
    const server = await serve();
    const bytes = randomBytes(3_000_000);
    const blob = digestOf(bytes);
    expect(await put(`${server}/bcache/${blob}`, bytes)).toBe(201);
    for (const flip of [0, 1_000_000]) {
      proxy.faultOf = (text) => (text.startsWith('GET') && text.includes('bcache') ? { flip } : undefined);
      const curl = promisify(execFile)('curl', [
        '-sf',
        '-o',
        join(folder, 'got'),
        `${server}/bcache/${blob}`,
      ]);
      await expect(curl).rejects.toThrow();
    }
    proxy.faultOf = () => undefined;
    const got = await fetch(`${server}/bcache/${blob}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it('answer 503 while the object store is away, and go on when it is back', async () => {
    const server = await serve();
    proxy.faultOf = () => ({ answer: { status: 503, code: 'ServiceUnavailable' } });
    for (const path of ['/bdir/some-key', `/bcache/${'0'.repeat(128)}`])
      expect((await fetch(server + path)).status, path).toBe(503);
    proxy.faultOf = () => undefined;
    for (const path of ['/bdir/some-key', `/bcache/${'0'.repeat(128)}`])
      expect((await fetch(server + path)).status, path).toBe(404);
  });
});
