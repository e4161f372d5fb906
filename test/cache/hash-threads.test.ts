import { execFile } from 'node:child_process';
import { chmod, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlobs } from '../../src/cache/blobs.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { createHashThreads, type HashThreads, type StreamHasher } from '../../src/cache/hash-threads.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { lacks } from '../http/outside-programs.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

function opened(threads: HashThreads): StreamHasher {
  const hasher = threads.open();
  if (hasher === undefined) throw new Error('this system gives no threads');
  return hasher;
}

describe('a thread that hashes', () => {
  it('gives the sha512, however the bytes come, in memory that is used again', async () => {
    const threads = createHashThreads(2);
    const chunk = fc.oneof(fc.nat(2000), fc.nat(1_500_000), fc.constantFrom(0, 512 * 1024, 1024 * 1024));
    const memory = Buffer.alloc(6 * 1_500_000);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(chunk, { maxLength: 6 }), { maxLength: 6 }), async (calls) => {
        const hasher = opened(threads);
        const all: Buffer[] = [];
        for (const [call, sizes] of calls.entries()) {
          let start = 0;
          const chunks = sizes.map((size) => memory.subarray(start, (start += size)));
          for (const [index, part] of chunks.entries()) part.fill(call * 7 + index + 1);
          all.push(...chunks.map((part) => Buffer.from(part)));
          await hasher.update(chunks);
          memory.fill(0xff);
        }
        expect(await hasher.digest()).toBe(digestOf(Buffer.concat(all)));
      }),
      { numRuns: 30 },
    );
  });

  it('keeps many streams apart, those that are closed early among them', async () => {
    const threads = createHashThreads(2);
    const run = async (stream: number): Promise<void> => {
      const bytes = Buffer.alloc(700_000 + stream, stream);
      const hasher = opened(threads);
      for (let turn = 0; turn < 5; turn++) {
        if (stream % 3 === 0 && turn === 3) {
          hasher.close();
          return;
        }
        await hasher.update([bytes]);
      }
      const digest = await hasher.digest();
      hasher.close();
      expect(digest).toBe(digestOf(Buffer.concat([bytes, bytes, bytes, bytes, bytes])));
    };
    await Promise.all(Array.from({ length: 40 }, (_, stream) => run(stream)));
  });

  it('keeps no program from ending, but does keep one that waits for it', async () => {
    const module = JSON.stringify(new URL('../../src/cache/hash-threads.ts', import.meta.url).href);
    const program = `
      const { createHashThreads } = await import(${module});
      createHashThreads(1).open();
      const threads = createHashThreads(2);
      const left = threads.open();
      await left.update([Buffer.alloc(3_000_000)]);
      const used = threads.open();
      await used.update([Buffer.from('abc')]);
      console.log(await used.digest());
    `;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    expect(stdout.trim()).toBe(digestOf('abc'));
  });
});

describe('a system that gives no more threads', () => {
  it('has large blobs hashed where they are written, and nothing is left behind', async (context) => {
    const root = await temporaryFolder();
    await chmod(root, 0o777);
    const imported = (path: string) => JSON.stringify(new URL(`../../src/${path}`, import.meta.url).href);
    // Only for who is not root do limits count.
    const program = `
      import { execFileSync } from 'node:child_process';
      const { createBlobs } = await import(${imported('cache/blobs.ts')});
      const { createHashThreads } = await import(${imported('cache/hash-threads.ts')});
      const { openStorage } = await import(${JSON.stringify(new URL('../fixtures/open-storage.ts', import.meta.url).href)});
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
      const storage = await openStorage(${JSON.stringify(join(root, 'store'))}, { write: true });
      const blobs = createBlobs(storage, createHashThreads(2));
      const put = async (letter) => {
        const writer = await blobs.create({ size: 5_000_000 });
        await writer.write([Buffer.alloc(5_000_000, letter)]);
        return (await writer.commit()).digest;
      };
      execFileSync('prlimit', ['--pid', String(process.pid), '--nproc=1:1']);
      console.log(JSON.stringify(await Promise.all([put('a'), put('b')])));
    `;
    if (lacks('prlimit')) context.skip('needs prlimit of util-linux');
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
    expect(JSON.parse(stdout)).toEqual(['a', 'b'].map((letter) => digestOf(letter.repeat(5_000_000))));
    expect(await readdir(join(root, 'store', 'tmp'))).toEqual([]);
  });
});

describe('a large blob', () => {
  const bytes = incompressible(5 * 1024 * 1024);

  it('is hashed by a thread: one that is not what was announced is refused', async () => {
    const root = await temporaryFolder();
    const blobs = createBlobs(await openStorage(root, { write: true }), createHashThreads(1));
    const put = async (announced: Parameters<typeof blobs.create>[0], content: Uint8Array) => {
      const writer = await blobs.create(announced);
      await writer.write([content.subarray(0, 1000), content.subarray(1000)]);
      return writer.commit();
    };
    const size = bytes.length;
    await expectCacheError(put({ digest: digestOf('other'), size }, bytes), 'digest-mismatch');
    await expectCacheError(put({ size: size + 1 }, bytes), 'incomplete');
    expect(await put({ digest: digestOf(bytes), size }, bytes)).toEqual({ digest: digestOf(bytes), size });
    expect((await blobs.stat(digestOf(bytes)))?.size).toBe(size);
  });
});
