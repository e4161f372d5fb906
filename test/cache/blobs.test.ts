import fc from 'fast-check';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createBlobs, type Blobs } from '../../src/cache/blobs.ts';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const BYTES = Buffer.from('compiled software');
const DIGEST = digestOf(BYTES);

let root: string;
let blobs: Blobs;

beforeEach(async () => {
  root = await temporaryFolder();
  blobs = createBlobs(await openStorage(root, { write: true }));
});

async function put(bytes: Uint8Array, announced: { digest?: Digest; size?: number } = {}): Promise<Digest> {
  const writer = await blobs.create(announced);
  try {
    await writer.write([bytes.subarray(0, 5)]);
    await writer.write([bytes.subarray(5)]);
    return (await writer.commit()).digest;
  } finally {
    await writer.abort();
  }
}

async function read(digest: Digest): Promise<Buffer | undefined> {
  const object = await blobs.open(digest);
  if (object === undefined) return undefined;
  const bytes = Buffer.alloc(object.size);
  await object.read(bytes, 0);
  await object.close();
  return bytes;
}

async function isEmpty(): Promise<boolean> {
  expect(await readdir(join(root, 'tmp'))).toEqual([]);
  return (await readdir(root)).every((name) => name !== 'bcache');
}

describe('a blob', () => {
  it('has the sha512 of its bytes as name', async () => {
    expect(await put(BYTES)).toBe(DIGEST);
    expect(await readFile(join(root, 'bcache', DIGEST))).toEqual(BYTES);
    expect(await read(DIGEST)).toEqual(BYTES);
    expect(await blobs.stat(DIGEST)).toMatchObject({ size: BYTES.length });
  });

  it('is the same however its bytes come, in chunks whose memory is used again', async () => {
    const chunkSize = fc.oneof(fc.nat(2000), fc.nat(700_000), fc.constant(512 * 1024));
    const memory = Buffer.alloc(700_000);
    await fc.assert(
      fc.asyncProperty(fc.array(chunkSize, { maxLength: 8 }), fc.boolean(), async (sizes, isAnnounced) => {
        const whole = incompressible(sizes.reduce((sum, size) => sum + size, 0));
        const writer = await blobs.create(isAnnounced ? { size: whole.length } : {});
        let position = 0;
        for (const size of sizes) {
          whole.copy(memory, 0, position, position + size);
          await writer.write([memory.subarray(0, size)]);
          memory.fill(0xaa);
          position += size;
        }
        const { digest, size } = await writer.commit();
        expect(size).toBe(whole.length);
        expect(digest).toBe(digestOf(whole));
        expect((await readFile(join(root, 'bcache', digest))).equals(whole)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('is seen only after it is whole', async () => {
    const writer = await blobs.create({ digest: DIGEST, size: BYTES.length });
    await writer.write([BYTES]);
    expect(await blobs.stat(DIGEST)).toBeUndefined();
    expect(await blobs.open(DIGEST)).toBeUndefined();
    expect(await writer.commit()).toEqual({ digest: DIGEST, size: BYTES.length });
    expect(await read(DIGEST)).toEqual(BYTES);
  });

  it('with other bytes than announced is refused and leaves nothing', async () => {
    await expectCacheError(put(BYTES, { digest: digestOf('other') }), 'digest-mismatch', new RegExp(DIGEST));
    expect(await isEmpty()).toBe(true);
  });

  it.each([
    [1, /more than the 16 bytes that were announced came/],
    [-1, /17 bytes came where 18 were announced/],
  ])('with %d bytes too many is refused and leaves nothing', async (more, message) => {
    await expectCacheError(put(BYTES, { size: BYTES.length - more }), 'incomplete', message);
    expect(await isEmpty()).toBe(true);
  });

  it('that goes on after the announced size is given up there, before it is written', async () => {
    const writer = await blobs.create({ size: 3 });
    await writer.write([Buffer.from('abc')]);
    const more = writer.write([Buffer.alloc(1024)]);
    await expectCacheError(more, 'incomplete', /more than the 3 bytes that were announced came$/);
    await writer.abort();
    expect(await isEmpty()).toBe(true);
  });

  it('that is given up leaves nothing', async () => {
    const writer = await blobs.create();
    await writer.write([BYTES]);
    await writer.abort();
    await writer.abort();
    expect(await isEmpty()).toBe(true);
  });

  it('that has gone bad on the disk is replaced by good bytes', async () => {
    await put(BYTES);
    await writeFile(join(root, 'bcache', DIGEST), 'bad', { flag: 'w' });
    expect(await read(DIGEST)).toEqual(Buffer.from('bad'));
    await put(BYTES, { digest: DIGEST });
    expect(await read(DIGEST)).toEqual(BYTES);
  });

  it('may be empty', async () => {
    const writer = await blobs.create({ size: 0 });
    expect(await writer.commit()).toEqual({ digest: digestOf(''), size: 0 });
    expect(await read(digestOf(''))).toEqual(Buffer.alloc(0));
  });

  it('is hashed before its chunk is used again', async () => {
    const writer = await blobs.create();
    const chunk = Buffer.alloc(100_000);
    for (const value of [1, 2, 3]) await writer.write([chunk.fill(value)]);
    const { digest } = await writer.commit();
    expect(digest).toBe(digestOf(Buffer.concat([1, 2, 3].map((value) => Buffer.alloc(100_000, value)))));
    expect(digestOf((await read(digest)) ?? '')).toBe(digest);
  });

  it('can be written by several at once', async () => {
    const digests = await Promise.all(Array.from({ length: 10 }, () => put(BYTES, { digest: DIGEST })));
    expect(new Set(digests)).toEqual(new Set([DIGEST]));
    expect(await read(DIGEST)).toEqual(BYTES);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is listed and removed; what is none is neither', async () => {
    const other = await put(Buffer.from('another release'));
    await put(BYTES);
    await writeFile(join(root, 'bcache', 'Thumbs.db'), '');
    expect(new Set(await collect(blobs.list()))).toEqual(new Set([DIGEST, other]));
    expect(await blobs.remove(DIGEST)).toBe(true);
    expect(await blobs.remove(DIGEST)).toBe(false);
    expect(await collect(blobs.list())).toEqual([other]);
  });
});
