import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import type { StoreUpkeep } from '../../src/cache/store-upkeep.ts';
import { makeStore, openStore } from '../../src/storage/open-store.ts';
import { parseBucketUrl } from '../../src/cache/bucket-url.ts';
import { createS3Storage } from '../../src/storage/s3.ts';
import { createS3Bucket, type S3Access, type S3Bucket } from '../../src/storage/s3-bucket.ts';
import { createS3Place } from '../../src/storage/s3-place.ts';
import { createSplitStorage } from '../../src/storage/split-storage.ts';
import { useBucket } from '../fixtures/bucket.ts';
import { type Engine, hasEngine, ON_ENGINE } from '../fixtures/ceph.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { ended } from '../fixtures/ended-process.ts';
import { describeObjectStorage } from './object-storage-contract.ts';

const place = useBucket();
let access: Engine;
let bucket: string;
let url: string;
let raw: S3Bucket;

beforeEach(() => {
  if (hasEngine) ({ engine: access, bucket, url, raw } = place);
});

async function openMade(): Promise<{ readonly storage: ObjectStorage; readonly upkeep: StoreUpkeep }> {
  await makeStore(url, { access });
  return createS3Place(url, access);
}

async function unfinished(): Promise<readonly string[]> {
  const uploads = (await collect(raw.uploads(''))).map(({ name }) => name);
  return [...(await collect(raw.list('tmp/'))), ...uploads];
}

async function put(storage: ObjectStorage, name: string, content: string | Buffer): Promise<void> {
  const writer = await storage.create();
  try {
    await writer.write([Buffer.from(content)]);
    await writer.commit(name);
  } finally {
    await writer.abort();
  }
}

async function get(storage: ObjectStorage, name: string): Promise<Buffer | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  const bytes = Buffer.alloc(object.size);
  try {
    for (let position = 0; position < bytes.length;) {
      const length = await object.read(bytes.subarray(position, position + 300_000), position);
      if (length === 0) throw new Error('cut off');
      position += length;
    }
  } finally {
    await object.close();
  }
  return bytes;
}

describe.skipIf(!hasEngine)(`storage in a bucket${ON_ENGINE}`, () => {
  describeObjectStorage('whole', async () => ({ storage: (await openMade()).storage, unfinished }));

  describeObjectStorage('split', async () => {
    const { storage } = await openMade();
    return { storage: createSplitStorage(storage, { largestFile: 50_000, partSize: 50_000 }), unfinished };
  });
});

describe.skipIf(!hasEngine)(`a store in a bucket${ON_ENGINE}`, () => {
  it('has the names of a folder', async () => {
    const { storage } = await openMade();
    await put(storage, 'bcache/a', 'abc');
    expect(await collect(raw.list(''))).toEqual(['bcache/a', 'store.json']);
    expect(String(await get(storage, 'store.json'))).toBe('{"format":1}\n');
  });

  it('is made only where nothing else is, once', async () => {
    expect(await makeStore(url, { access })).toBe(true);
    expect(await makeStore(url, { access })).toBe(false);
    await raw.put('other/bcache', Buffer.from('x'));
    await expectCacheError(
      makeStore(`s3://${bucket}`, { access }),
      'storage',
      `s3://${bucket} is not a store and not empty (it holds store-`,
    );
  });

  it('is missed where none was made', async () => {
    for (const mode of ['read', 'write', 'upkeep'] as const)
      await expectCacheError(openStore(url, { mode, access }), 'storage', `there is no store at ${url}`);
    await raw.put('photos/a', Buffer.from('x'));
    await expectCacheError(openStore(url, { mode: 'read', access }), 'storage', 'no store.json, but photos');
  });

  it('needs no mark if it was copied there', async () => {
    await raw.put('bcache/a', Buffer.from('x'));
    const { storage } = await openStore(url, { mode: 'read', access });
    expect(String(await get(storage, 'bcache/a'))).toBe('x');
    await openStore(url, { mode: 'write', access });
    expect(await collect(raw.list(''))).toEqual(['bcache/a', 'store.json']);
  });

  it('of another format is refused', async () => {
    await raw.put('store.json', Buffer.from('{"format": 2}'));
    await expectCacheError(openStore(url, { mode: 'read', access }), 'storage', /has format 2/);
    await raw.put('store.json', Buffer.from('nonsense'));
    await expectCacheError(openStore(url, { mode: 'read', access }), 'damaged', /store\.json is damaged/);
    await raw.put('bdir/k/a', Buffer.from('x'));
    expect((await openStore(url, { mode: 'upkeep', access })).markFault?.code).toBe('damaged');
  });

  it('that went away turns a miss into an error', async () => {
    const { storage } = createS3Place(url, access);
    await expectCacheError(storage.stat('bcache/a'), 'storage', 'there is no store');
    await expectCacheError(storage.open('bcache/a'), 'storage', 'there is no store');
    await expectCacheError(collect(storage.list('bdir/')), 'storage', 'there is no store');
  });
});

describe.skipIf(!hasEngine)(`a large object${ON_ENGINE}`, () => {
  it.each([16 * 1024 ** 2, 16 * 1024 ** 2 + 1, 50 * 1024 ** 2 + 77])(
    'of %i bytes comes back',
    async (size) => {
      const { storage } = await openMade();
      const bytes = randomBytes(size);
      for (const known of [size, undefined]) {
        const writer = await storage.create(known);
        for (let start = 0; start < size; start += 999_999)
          await writer.write([bytes.subarray(start, start + 999_999)]);
        expect(await storage.stat('bcache/a')).toBeUndefined();
        await writer.commit('bcache/a');
        await writer.abort();
        expect((await get(storage, 'bcache/a'))?.equals(bytes)).toBe(true);
        expect(await unfinished()).toEqual([]);
        await storage.remove('bcache/a');
      }
    },
  );

  it('that is too large for one request is copied in parts', async () => {
    const bytes = randomBytes(17 * 1024 ** 2 + 3);
    // Parts of a copy have 5 MiB or more, but the last.
    const limits = { limit: 17 * 1024 ** 2, part: 5 * 1024 ** 2 };
    const copier = createS3Bucket(parseBucketUrl(url), access, limits);
    const storage = createS3Storage(copier, () => Promise.resolve());
    await put(storage, 'bcache/a', bytes);
    expect((await get(storage, 'bcache/a'))?.equals(bytes)).toBe(true);
    // A copy in one request has the ETag of its source, which had two parts.
    expect((await raw.head('bcache/a'))?.etag).toMatch(/-4"?$/);
    expect(await copier.copy('bcache/none', 'bcache/b', bytes.length)).toBe(false);
    await expectCacheError(copier.copy('bcache/a', 'bcache/b', bytes.length + 20_000_000), 'storage');
    expect(await unfinished()).toEqual([]);
    expect(await collect(raw.list('bcache/'))).toEqual(['bcache/a']);
  });

  it('leaves nothing when it is given up', async () => {
    const { storage } = await openMade();
    const writer = await storage.create();
    for (let index = 0; index < 40; index++) await writer.write([Buffer.alloc(1024 ** 2, index)]);
    expect(await unfinished()).toHaveLength(1);
    await writer.abort();
    expect(await unfinished()).toEqual([]);
    expect(await collect(raw.list(''))).toEqual(['store.json']);
  });

  it('gives ranges from anywhere, also backwards', async () => {
    const { storage } = await openMade();
    const bytes = randomBytes(3 * 1024 ** 2);
    await put(storage, 'bcache/a', bytes);
    const object = await storage.open('bcache/a');
    for (const position of [2_000_000, 1_000_000, 0, 327_679, 327_680, 3 * 1024 ** 2 - 1]) {
      const into = Buffer.alloc(1);
      expect(await object?.read(into, position)).toBe(1);
      expect(into[0]).toBe(bytes[position]);
    }
    await object?.close();
  });

  it('is never mixed with the one that replaces it', async () => {
    const { storage } = await openMade();
    const [one, other] = [Buffer.alloc(30 * 1024 ** 2, 1), Buffer.alloc(30 * 1024 ** 2, 2)];
    await put(storage, 'bcache/a', one);
    const object = await storage.open('bcache/a');
    await object?.read(Buffer.alloc(10), 0);
    await put(storage, 'bcache/a', other);
    await expectCacheError(
      Promise.resolve(object?.read(Buffer.alloc(10), 20 * 1024 ** 2)),
      'unavailable',
      /bcache\/a of s3:.* was replaced while it was read/,
    );
    await storage.remove('bcache/a');
    await expectCacheError(
      Promise.resolve(object?.read(Buffer.alloc(10), 20 * 1024 ** 2)),
      'unavailable',
      /was removed while it was read/,
    );
    await object?.close();
  });
});

describe.skipIf(!hasEngine)(`upkeep in a bucket${ON_ENGINE}`, () => {
  it('lists a folder', async () => {
    const { upkeep } = await openMade();
    for (const name of ['bcache/a', 'bdir/k/a', 'bdir/', 'odd name/ü']) await raw.put(name, Buffer.from('x'));
    expect(new Set(await collect(upkeep.list('')))).toEqual(
      new Set([
        { name: 'store.json', type: 'file' },
        { name: 'bcache', type: 'folder' },
        { name: 'bdir', type: 'folder' },
        { name: 'odd name', type: 'folder' },
      ]),
    );
    expect(await collect(upkeep.list('bdir'))).toEqual([{ name: 'k', type: 'folder' }]);
    expect(await collect(upkeep.list('odd name'))).toEqual([{ name: 'ü', type: 'file' }]);
    expect(await collect(upkeep.list('none'))).toEqual([]);
  });

  it('hides an object, and gives it back or removes it', async () => {
    const { upkeep, storage } = await openMade();
    await put(storage, 'bcache/a', 'abc');
    const stat = await storage.stat('bcache/a');
    const hidden = await upkeep.hide('bcache/a');
    expect(hidden).toMatchObject({ size: 3, modified: stat?.modified });
    expect(await storage.stat('bcache/a')).toBeUndefined();
    expect(await collect(upkeep.leftovers())).toEqual([]);
    await hidden?.putBack();
    expect(String(await get(storage, 'bcache/a'))).toBe('abc');
    const again = await upkeep.hide('bcache/a');
    expect(await again?.remove()).toBe(true);
    expect(await again?.remove()).toBe(false);
    expect(await collect(raw.list(''))).toEqual(['store.json']);
    expect(await upkeep.hide('bcache/a')).toBeUndefined();
  });

  it('gives back a hidden object to nobody else', async () => {
    const { upkeep, storage } = await openMade();
    await put(storage, 'bcache/a', 'abc');
    const hidden = await upkeep.hide('bcache/a');
    await put(storage, 'bcache/a', 'newer');
    await hidden?.putBack();
    expect(String(await get(storage, 'bcache/a'))).toBe('newer');
    expect(await unfinished()).toEqual([]);
  });

  it('finds what killed writers left: objects, uploads and hidden objects', async () => {
    const { upkeep, storage } = await openMade();
    const tag = await ended();
    await raw.put('bcache/b', Buffer.from('b'));
    await raw.put(`tmp/${tag}.00`, Buffer.from('x'));
    await raw.copy('bcache/b', `tmp/${tag}.11.taken.bcache%2Fa`, 1);
    const id = await raw.beginUpload(`tmp/${tag}.22`);
    // This process writes now.
    const writer = await storage.create();
    for (let index = 0; index < 20; index++) await writer.write([Buffer.alloc(1024 ** 2)]);
    const leftovers = await collect(upkeep.leftovers());
    expect(leftovers).toEqual([
      `tmp/${tag}.00`,
      `tmp/${tag}.11.taken.bcache%2Fa`,
      `tmp/${tag}.22?uploadId=${id}`,
    ]);
    await openStore(url, { mode: 'write', access });
    expect(await collect(upkeep.leftovers())).toEqual([]);
    expect(String(await get(storage, 'bcache/a'))).toBe('b');
    await writer.commit('bcache/c');
    expect((await storage.stat('bcache/c'))?.size).toBe(20 * 1024 ** 2);
    expect(await unfinished()).toEqual([]);
  });

  it('puts an object, or a folder of them, into quarantine', async () => {
    const { upkeep, storage } = await openMade();
    await put(storage, 'bcache/a', 'abc');
    await raw.put('stray/one+two', Buffer.from('1'));
    await raw.put('stray/ü %', Buffer.from('2'));
    const kept = await upkeep.quarantine.keep('bcache/a');
    expect(kept).toMatch(/^quarantine\/\d{8}T\d{6}Z-[0-9a-f]{6}\/bcache\/a$/);
    expect(String(await get(storage, kept ?? ''))).toBe('abc');
    expect(await upkeep.quarantine.move('bcache/a')).toBe(`${kept ?? ''}-2`);
    expect(await storage.stat('bcache/a')).toBeUndefined();
    const folder = await upkeep.quarantine.move('stray');
    expect(await collect(raw.list('stray/'))).toEqual([]);
    expect(await collect(raw.list(`${folder ?? ''}/`))).toEqual([
      `${folder ?? ''}/one+two`,
      `${folder ?? ''}/ü %`,
    ]);
    expect(await upkeep.quarantine.move('bcache/none')).toBeUndefined();
    expect(await upkeep.quarantine.keep('bcache/none')).toBeUndefined();
  });
});

describe.skipIf(!hasEngine)(`a fault of the object store${ON_ENGINE}`, () => {
  const openWith = (changed: S3Access, at = url) =>
    openStore(at, { mode: 'read', access: { ...access, ...changed } });

  it('is told with what to do: no such bucket', async () => {
    const at = `s3://none-${bucket}/x`;
    await expectCacheError(openWith({}, at), 'storage', `there is no bucket none-${bucket} at http://127`);
    await expectCacheError(
      createS3Place(at, access).storage.stat('bcache/a'),
      'storage',
      `there is no bucket none-${bucket}`,
    );
  });

  it('is told with what to do: a wrong access key', async () => {
    const { id } = access.key;
    const text = /refuses the access key \(\w+\); check access-key-id and secret-access-key in \[store\]/;
    await expectCacheError(openWith({ key: { id, secret: 'wrong' } }), 'storage', text);
    await expectCacheError(openWith({ key: { id: 'nobody', secret: 'x' } }), 'storage', text);
  });

  it('is told with what to do: nothing listens', async () => {
    await expectCacheError(
      openWith({ endpoint: 'http://127.0.0.1:1' }),
      'unavailable',
      "can't reach http://127.0.0.1:1 (ECONNREFUSED); is it running, and is [store] endpoint right?",
    );
  });

  it('is told with what to do: no TLS there', async () => {
    const endpoint = access.endpoint.replace('http:', 'https:');
    await expectCacheError(openWith({ endpoint }), 'storage', /is no S3 service with a trusted certificate/);
  });
});
