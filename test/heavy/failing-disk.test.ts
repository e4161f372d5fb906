import { randomBytes, randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { makeStore } from '../../src/storage/open-store.ts';
import { runCache } from '../cli/command.ts';
import { serveFrom } from '../cli/served.ts';
import { addGateway, hasEngine, makeBucket, ON_ENGINE, startCluster } from '../fixtures/ceph.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** Uploads that are acknowledged before the disk fails, and after. */
const [BEFORE, AFTER] = isHeavy ? [100, 200] : [10, 20];
const WRITERS = 4;

describe.skipIf(!hasEngine)(`an object store of three disks, of which one is killed${ON_ENGINE}`, () => {
  it(
    'has every acknowledged upload, and no wrong byte is served as complete',
    { timeout: 600_000 },
    async () => {
      const engine = await startCluster({ disks: 3 });
      const folder = await temporaryFolder();
      const url = `s3://${await makeBucket(engine)}/store`;
      await makeStore(url, { access: engine });
      const servers: string[] = [];
      for (const [index, endpoint] of [engine.endpoint, await addGateway(engine)].entries()) {
        const { id, secret } = engine.key;
        const store = `url = ${url}\nendpoint = ${endpoint}\naccess-key-id = ${id}\nsecret-access-key = ${secret}`;
        await writeFile(join(folder, `${index}.ini`), `[store]\n${store}\n[access]\nanonymous = upload\n`);
        servers.push((await serveFrom(folder, '-c', `${index}.ini`)).url);
      }
      const serverOf = (): string => servers[randomInt(servers.length)] ?? '';
      const acknowledged: Digest[] = [];
      const count = { refused: 0, whole: 0, broken: 0 };
      let isOver = false;

      const write = async (): Promise<void> => {
        while (acknowledged.length < BEFORE + AFTER) {
          // Some in one request, some in parts.
          const bytes = randomBytes(
            randomInt(4) === 0 ? 17_000_000 + randomInt(10_000_000) : randomInt(1, 2_000_000),
          );
          const digest = digestOf(bytes);
          const answer = await fetch(`${serverOf()}/bcache/${digest}`, { method: 'PUT', body: bytes }).catch(
            () => undefined,
          );
          if (answer?.status === 201) acknowledged.push(digest);
          else count.refused++;
          await answer?.arrayBuffer();
        }
      };
      const read = async (): Promise<void> => {
        while (!isOver) {
          const digest = acknowledged[randomInt(Math.max(1, acknowledged.length))];
          if (digest === undefined) await new Promise((resolve) => setTimeout(resolve, 50));
          else count[(await isServed(serverOf(), digest)) ? 'whole' : 'broken']++;
        }
      };
      const kill = async (): Promise<void> => {
        await expect.poll(() => acknowledged.length, { timeout: 300_000 }).toBeGreaterThanOrEqual(BEFORE);
        process.kill(engine.disks[1] ?? 0, 'SIGKILL');
      };
      const readers = [read(), read()];
      await Promise.all([kill(), ...Array.from({ length: WRITERS }, write)]);
      isOver = true;
      await Promise.all(readers);
      expect(count.whole).toBeGreaterThan(0);
      for (const server of servers)
        for (const digest of acknowledged) expect(await isServed(server, digest), digest).toBe(true);
      expect(await runCache(folder, 'verify', '-c', '0.ini', '--deep')).toMatchObject({ code: 0 });
      if (isHeavy)
        process.stderr.write(`uploads: ${acknowledged.length}, others: ${JSON.stringify(count)}\n`);
    },
  );
});

/** Whether the blob is served. Bytes that come as a whole blob are its own. */
async function isServed(server: string, digest: Digest): Promise<boolean> {
  let bytes: Buffer;
  try {
    const answer = await fetch(`${server}/bcache/${digest}`);
    bytes = Buffer.from(await answer.arrayBuffer());
    // A miss would make a node compile.
    expect([200, 500, 503]).toContain(answer.status);
    if (answer.status !== 200) return false;
  } catch (error) {
    // Broken off, which every client sees.
    if (error instanceof TypeError) return false;
    throw error;
  }
  expect(digestOf(bytes)).toBe(digest);
  return true;
}
