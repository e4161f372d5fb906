import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseBucketUrl } from '../../src/cache/bucket-url.ts';
import { createHasher } from '../../src/cache/digest.ts';
import { makeStore } from '../../src/storage/open-store.ts';
import { createS3Bucket } from '../../src/storage/s3-bucket.ts';
import { serveFrom } from '../cli/served.ts';
import { hasEngine, makeBucket, ON_ENGINE, startCluster } from '../fixtures/ceph.ts';
import { collect } from '../fixtures/collect.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const MIB = 1024 ** 2;
/** More than one request can copy. */
const SIZE_MIB = 5 * 1024 + 77;

describe.runIf(isHeavy && hasEngine)(`a blob of more than 5 GiB in a bucket${ON_ENGINE}`, () => {
  it('comes back, and takes little memory', { timeout: 1_800_000 }, async () => {
    const engine = await startCluster({ disks: 1, diskSize: 24 * 1024 * MIB });
    const folder = await temporaryFolder();
    const url = `s3://${await makeBucket(engine)}/store`;
    await makeStore(url, { access: engine });
    const { id, secret } = engine.key;
    const store = `url = ${url}\nendpoint = ${engine.endpoint}\naccess-key-id = ${id}\nsecret-access-key = ${secret}`;
    await writeFile(join(folder, 'config.ini'), `[store]\n${store}\n[access]\nanonymous = upload\n`);
    const server = await serveFrom(folder, '-c', 'config.ini');
    const before = await memoryOf(server.child.pid);

    const hasher = createHasher();
    const pieces = function* (): Generator<Buffer> {
      const piece = Buffer.alloc(MIB, 'bytes of a large release');
      for (let index = 0; index < SIZE_MIB; index++) {
        // No part can be taken for another.
        piece.writeUInt32LE(index);
        hasher.update(piece);
        yield Buffer.from(piece);
      }
    };
    // Of unknown length.
    const posting = request(`${server.url}/bcache`, { method: 'POST' });
    const answered = new Promise<string>((resolve, reject) => {
      posting.once('error', reject).once('response', (answer) => {
        void answer
          .setEncoding('utf8')
          .toArray()
          .then((texts) => {
            resolve(texts.join(''));
          }, reject);
      });
    });
    await pipeline(Readable.from(pieces()), posting);
    const digest = hasher.digest();
    expect(await answered).toBe(digest);
    const uploaded = await memoryOf(server.child.pid);
    const sum = promisify(execFile)('sh', ['-c', `curl -sSf "$0/bcache/${digest}" | sha512sum`, server.url]);
    expect((await sum).stdout).toBe(`${digest}  -\n`);
    const downloaded = await memoryOf(server.child.pid);
    process.stderr.write(
      `peak memory in MiB: before ${before}, with the upload ${uploaded}, with the download ${downloaded}\n`,
    );
    // 64 MiB of the upload, and what the runtime keeps.
    expect(uploaded - before).toBeLessThan(128);
    const raw = createS3Bucket(parseBucketUrl(url), engine);
    expect([...(await collect(raw.list('tmp/'))), ...(await collect(raw.uploads('')))]).toEqual([]);
  });
});

/** The highest resident memory of a process so far, in MiB. */
async function memoryOf(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid ?? 0}/status`, 'utf8');
  return Math.round(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
}
