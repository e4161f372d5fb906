import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createBlobs } from '../../src/cache/blobs.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { createHashThreads } from '../../src/cache/hash-threads.ts';
import { openFilesystemStorage } from '../../src/storage/filesystem.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

describe('a thread that hashes', () => {
  it('gives the sha512, however the bytes come, in memory that is used again', async () => {
    const threads = createHashThreads(2);
    const chunk = fc.oneof(fc.nat(2000), fc.nat(1_500_000), fc.constantFrom(0, 512 * 1024, 1024 * 1024));
    const memory = Buffer.alloc(6 * 1_500_000);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(chunk, { maxLength: 6 }), { maxLength: 6 }), async (calls) => {
        const hasher = threads.open();
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
      const hasher = threads.open();
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

describe('a large blob', () => {
  const bytes = incompressible(5 * 1024 * 1024);

  it('is hashed by a thread: one that is not what was announced is refused', async () => {
    const root = await temporaryFolder();
    const blobs = createBlobs(await openFilesystemStorage(root, { write: true }), createHashThreads(1));
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
