import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { createBlobs, type Blobs } from '../../src/cache/blobs.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { readWhole } from '../../src/cache/object-pieces.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { makeStore } from '../../src/storage/open-store.ts';
import { createS3Place } from '../../src/storage/s3-place.ts';
import { useBucket } from '../fixtures/bucket.ts';
import { hasEngine, ON_ENGINE } from '../fixtures/ceph.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { type Fault, type FaultyProxy, startFaultyProxy } from '../fixtures/faulty-proxy.ts';

/** Milliseconds, where nothing but patience ends a fault; half a minute elsewhere, as outside tests. */
const IMPATIENT = 2000;
const MIB = 1024 ** 2;
const UNAVAILABLE = { answer: { status: 503, code: 'ServiceUnavailable' } };
const SLOW_DOWN = { answer: { status: 503, code: 'SlowDown' } };

const place = useBucket();
let proxy: FaultyProxy;
let blobs: Blobs;

beforeEach(async () => {
  if (!hasEngine) return;
  await makeStore(place.url, { access: place.engine });
  proxy = await startFaultyProxy(place.engine.endpoint);
  blobs = createBlobs(openStorage());
});

/** The store behind the proxy. */
function openStorage(patience?: number): ObjectStorage {
  return createS3Place(place.url, { ...place.engine, endpoint: proxy.endpoint, patience }).storage;
}

/** The faults, one for each matching request in their order; then none. */
function plan(match: RegExp, ...faults: readonly Fault[]): void {
  if (faults.some((fault) => 'stall' in fault || 'loseAnswer' in fault))
    blobs = createBlobs(openStorage(IMPATIENT));
  const left = [...faults];
  proxy.faultOf = (request) => (match.test(request) ? left.shift() : undefined);
}

async function write(bytes: Buffer): Promise<void> {
  const writer = await blobs.create({ digest: digestOf(bytes), size: bytes.length });
  try {
    for (let start = 0; start < bytes.length; start += MIB)
      await writer.write([bytes.subarray(start, start + MIB)]);
    await writer.commit();
  } finally {
    await writer.abort();
  }
}

async function read(bytes: Buffer): Promise<boolean | undefined> {
  const object = await blobs.open(digestOf(bytes));
  if (object === undefined) return undefined;
  try {
    return (await readWhole(object)).equals(bytes);
  } finally {
    await object.close();
  }
}

const unfinished = async (): Promise<readonly unknown[]> => [
  ...(await collect(place.raw.list('tmp/'))),
  ...(await collect(place.raw.uploads(''))),
];

describe.skipIf(!hasEngine)(`a read through a bad network${ON_ENGINE}`, () => {
  it.each<[string, readonly Fault[]]>([
    ['breaks off', [{ cut: 0 }, { cut: 100_000 }, { cut: 3 * MIB }, { cut: 1 }]],
    ['ends early', [{ truncate: 1000 }, { truncate: 2 * MIB }, { truncate: 0 }]],
    ['stalls', [{ stall: 10 }, { stall: 2 * MIB }]],
    ['is refused for a while', [UNAVAILABLE, SLOW_DOWN, UNAVAILABLE, UNAVAILABLE]],
    [
      'meets broken servers',
      [500, 502, 504].map((status) => ({ answer: { status, code: 'InternalError' } })),
    ],
  ])('goes on when it %s', async (_what, faults) => {
    const bytes = randomBytes(8 * MIB);
    await write(bytes);
    plan(/^GET .*bcache/, ...faults);
    expect(await read(bytes)).toBe(true);
    const small = randomBytes(5000);
    await write(small);
    plan(/^GET .*bcache/, ...faults);
    expect(await read(small)).toBe(true);
  });

  it('is an error, never a miss, when it fails for good', async () => {
    const bytes = randomBytes(1000);
    await write(bytes);
    for (const fault of [UNAVAILABLE, { cut: 10 }, { truncate: 10 }]) {
      proxy.faultOf = () => fault;
      await expectCacheError(read(bytes), 'unavailable', /try again later|can't reach/);
    }
    proxy.faultOf = () => ({ answer: { status: 404, code: 'NoSuchBucket' } });
    await expectCacheError(read(bytes), 'storage', /there is no bucket/);
    proxy.faultOf = () => ({ answer: { status: 404, code: 'NotFoundHere' } });
    await expectCacheError(read(bytes), 'storage', /answered 404/);
    proxy.faultOf = () => ({ answer: { status: 403, code: 'AccessDenied' } });
    await expectCacheError(blobs.stat(digestOf(bytes)), 'storage', /answered 403/);
  });

  it('that is given up ends at the engine', async () => {
    const bytes = randomBytes(40 * MIB);
    await write(bytes);
    const object = await blobs.open(digestOf(bytes));
    await object?.read(Buffer.alloc(1000), MIB);
    await object?.close();
    expect(await read(bytes)).toBe(true);
  });
});

describe.skipIf(!hasEngine)(`an upload through a bad network${ON_ENGINE}`, () => {
  it.each<[string, readonly Fault[]]>([
    ['breaks off', [{ cutRequest: 0 }, { cutRequest: 100_000 }]],
    ['is refused for a while', [UNAVAILABLE, SLOW_DOWN, UNAVAILABLE, UNAVAILABLE]],
    ['gets no answer', [{ loseAnswer: true }, { stall: 0 }]],
  ])('is repeated when it %s', async (_what, faults) => {
    for (const bytes of [randomBytes(200_000), randomBytes(40 * MIB)]) {
      plan(/^PUT /, ...faults);
      await write(bytes);
      proxy.faultOf = () => undefined;
      expect(await read(bytes)).toBe(true);
      expect(await unfinished()).toEqual([]);
    }
  });

  it('is complete when only the answer to its completion was lost', async () => {
    const bytes = randomBytes(20 * MIB);
    plan(/^POST .*uploadId=/, { loseAnswer: true });
    await write(bytes);
    expect(await read(bytes)).toBe(true);
    expect(await unfinished()).toEqual([]);
  });

  it('of a new name knows its own object when only the answer was lost', async () => {
    const [storage, text] = [openStorage(IMPATIENT), Buffer.from('an entry')];
    const add = async (bytes: Buffer): Promise<boolean> => {
      const writer = await storage.create(bytes.length);
      await writer.write([bytes]);
      return writer.commitNew('bdir/key/a');
    };
    plan(/^PUT /, { loseAnswer: true });
    expect(await add(text)).toBe(true);
    plan(/^PUT /, { loseAnswer: true });
    expect(await add(Buffer.from('an Entry'))).toBe(false);
    expect(await add(Buffer.from('another'))).toBe(false);
  });

  it.each([
    ['a small object', 200_000, /^PUT .*bcache/],
    ['a part', 20 * MIB, /^PUT .*partNumber=1/],
    ['the end of an upload', 20 * MIB, /^POST .*uploadId=/],
    ['a copy', 20 * MIB, /^PUT .*CopyObject/],
  ])(
    'that is answered 200 with an error, or with a page, for %s is no success',
    async (_what, size, match) => {
      const bytes = randomBytes(size);
      for (const answer of [{ status: 200, code: 'InternalError' }, { status: 200 }]) {
        proxy.faultOf = (request) => (match.test(request) ? { answer } : undefined);
        await expect(write(bytes)).rejects.toThrow(CacheError);
        proxy.faultOf = () => undefined;
        expect(await collect(place.raw.list('bcache/'))).toEqual([]);
        expect(await unfinished()).toEqual([]);
      }
    },
  );

  it('of a new name is repeated when the engine could not decide between two', async () => {
    const writer = await openStorage().create(5);
    await writer.write([Buffer.from('entry')]);
    plan(/^PUT /, { answer: { status: 409, code: 'ConditionalRequestConflict' } });
    expect(await writer.commitNew('bdir/key/a')).toBe(true);
    expect(await collect(place.raw.list('bdir/'))).toEqual(['bdir/key/a']);
  });

  it('that fails for good leaves nothing that is visible', async () => {
    for (const bytes of [randomBytes(200_000), randomBytes(40 * MIB)]) {
      for (const match of [/^PUT .*partNumber=2|^PUT .*bcache/, /^POST .*uploadId=/]) {
        proxy.faultOf = (request) => (match.test(request) ? UNAVAILABLE : undefined);
        if (bytes.length > MIB || match.source.includes('bcache'))
          await expectCacheError(write(bytes), 'unavailable', /answered 503 \(ServiceUnavailable\)/);
        proxy.faultOf = () => undefined;
        expect(await collect(place.raw.list('bcache/'))).toEqual([]);
        expect(await unfinished()).toEqual([]);
      }
    }
  });

  it('with a changed byte is refused by the engine', async () => {
    for (const bytes of [randomBytes(200_000), randomBytes(20 * MIB)]) {
      proxy.faultOf = (request) => (request.startsWith('PUT') ? { flipRequest: 1000 } : undefined);
      await expectCacheError(write(bytes), 'storage', /answered 400/);
      proxy.faultOf = () => undefined;
      expect(await collect(place.raw.list('bcache/'))).toEqual([]);
      expect(await unfinished()).toEqual([]);
    }
  });
});
