import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { blobName } from '../../src/cache/layout.ts';
import { readWhole } from '../../src/cache/object-pieces.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { createLocalCache, type CachedStorage } from '../../src/storage/local-cache.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { StorageObserver } from '../http/storage-observer.ts';
import { describeObjectStorage } from './object-storage-contract.ts';

const MIB = 1024 ** 2;

/** The folder of the copies. */
let folder: string;
let root: string;
let inner: ObjectStorage;
let observer: StorageObserver;
let faults: string[];
let cache: CachedStorage;

beforeEach(async () => {
  const parent = await temporaryFolder();
  [root, folder] = [join(parent, 'store'), join(parent, 'copies')];
  observer = new StorageObserver();
  inner = await openStorage(root, { write: true });
  faults = [];
  cache = await openCache();
});

/** As another process, which has checked nothing yet. */
const openCache = (size = 100 * MIB, minFreeSpace = 0): Promise<CachedStorage> =>
  createLocalCache(observer.wrap(inner), {
    ...{ folder, size, minFreeSpace },
    onFault: (message) => faults.push(message),
  });

/** A blob of the store behind the cache. */
async function addBlob(size = 2 * MIB, content = randomBytes(size), digest = digestOf(content)) {
  const writer = await inner.create(content.length);
  await writer.write([content]);
  await writer.commit(blobName(digest));
  return { digest, content, name: blobName(digest) };
}

async function read(name: string, storage: ObjectStorage = cache): Promise<Buffer | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  try {
    return await readWhole(object);
  } finally {
    await object.close();
  }
}

/** Whether a read brings the bytes, and from where. */
async function source(
  { name, content }: { readonly name: string; readonly content: Buffer },
  storage = cache,
): Promise<string> {
  const before = observer.bytesRead;
  if (!(await read(name, storage))?.equals(content)) return 'nowhere';
  return observer.bytesRead === before ? 'the folder' : 'the store';
}

const copies = (): Promise<string[]> => readdir(join(folder, 'bcache')).catch(() => []);
const pathOf = (digest: Digest): string => join(folder, 'bcache', digest);

describeObjectStorage('a local cache', () =>
  Promise.resolve({
    storage: cache,
    unfinished: async () => [...(await readdir(join(root, 'tmp'))), ...(await readdir(folder))],
  }),
);

describe('a local cache', () => {
  it('keeps a blob that was read whole, and serves it from then on', async () => {
    const blob = await addBlob(5 * MIB + 7);
    expect(await source(blob)).toBe('the store');
    expect((await readFile(pathOf(blob.digest))).equals(blob.content)).toBe(true);
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
    expect(await source(blob)).toBe('the folder');
    expect(cache.counts).toEqual({ hits: 1, misses: 1 });
    expect(faults).toEqual([]);
  });

  it('keeps nothing of a range, of a blob that was not read to its end, and of a small one', async () => {
    const [blob, small] = [await addBlob(), await addBlob(MIB - 1)];
    for (const positions of [[1], [0], [MIB, 0], [0, 0, MIB]]) {
      const object = await cache.open(blob.name);
      for (const position of positions) await object?.read(Buffer.alloc(MIB), position);
      await object?.close();
    }
    expect(await source(small)).toBe('the store');
    expect(await copies()).toEqual([]);
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
  });

  it('serves ranges of a blob that it has', async () => {
    const { name, content } = await addBlob();
    await read(name);
    const before = observer.bytesRead;
    const object = await cache.open(name);
    for (const position of [MIB, 5, 2 * MIB - 1]) {
      const into = Buffer.alloc(10);
      const count = await object?.read(into, position);
      expect(into.subarray(0, count).equals(content.subarray(position, position + 10))).toBe(true);
    }
    expect(await object?.read(Buffer.alloc(1), 2 * MIB)).toBe(0);
    await object?.close();
    expect(observer.bytesRead).toBe(before);
  });

  it('keeps no wrong bytes', async () => {
    const { name, content } = await addBlob(2 * MIB, randomBytes(2 * MIB), digestOf('other bytes'));
    for (let round = 0; round < 2; round++) expect((await read(name))?.equals(content)).toBe(true);
    expect(await copies()).toEqual([]);
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
    expect(faults).toEqual([expect.stringContaining('the bytes have the sha512')]);
  });

  it('serves no copy of a blob that was removed from the store, or that the store cannot show', async () => {
    const blob = await addBlob();
    await read(blob.name);
    await inner.remove(blob.name);
    expect(await read(blob.name)).toBeUndefined();
    expect(await copies()).toEqual([]);
    await addBlob(0, blob.content);
    await read(blob.name);
    await cache.remove(blob.name);
    expect(await copies()).toEqual([]);
    expect(await read(blob.name)).toBeUndefined();
  });

  it('removes those that were not used for the longest time', async () => {
    cache = await openCache(6 * MIB);
    const blobs = [await addBlob(), await addBlob(), await addBlob(), await addBlob()] as const;
    const [first, second, third, fourth] = blobs;
    for (const [age, { name, digest }] of [third, first, second].entries()) {
      await read(name);
      const time = new Date(Date.UTC(2026, 0, 3 - age));
      await utimes(pathOf(digest), time, time);
    }
    // A use counts.
    expect(await source(second)).toBe('the folder');
    await read(fourth.name);
    expect(new Set(await copies())).toEqual(new Set([third, second, fourth].map(({ digest }) => digest)));
    const large = await addBlob(6 * MIB + 1);
    expect(await source(large)).toBe('the store');
    expect(await copies()).toHaveLength(3);
    // Whatever else is there stays.
    await writeFile(join(folder, 'bcache', 'note'), 'x');
    await read((await addBlob(6 * MIB)).name);
    expect((await copies()).includes('note')).toBe(true);
    expect(await copies()).toHaveLength(2);
  });

  it('copies a blob once although many read it at a time', async () => {
    const blob = await addBlob();
    expect(new Set(await Promise.all(Array.from({ length: 20 }, () => source(blob))))).toEqual(
      new Set(['the store']),
    );
    expect(await copies()).toEqual([blob.digest]);
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
  });

  it('is shared: a process serves the copies of another after it has checked them', async () => {
    const blob = await addBlob();
    await read(blob.name);
    const other = await openCache();
    expect(await source(blob, other)).toBe('the store');
    await expect.poll(() => source(blob, other)).toBe('the folder');
    const caches = await Promise.all(Array.from({ length: 4 }, () => openCache(10 * MIB)));
    const blobs = await Promise.all(Array.from({ length: 8 }, () => addBlob()));
    for (let round = 0; round < 3; round++)
      await Promise.all(
        caches.flatMap((each) =>
          blobs.map(async ({ name, content }) => {
            expect((await read(name, each))?.equals(content)).toBe(true);
          }),
        ),
      );
    for (const name of await copies())
      expect(digestOf(await readFile(join(folder, 'bcache', name)))).toBe(name);
    expect(faults).toEqual([]);
  });

  it('never serves a copy that went bad on the disk', async () => {
    const blob = await addBlob();
    await read(blob.name);
    const bytes = await readFile(pathOf(blob.digest));
    bytes[MIB] = (bytes[MIB] ?? 0) ^ 1;
    await rm(pathOf(blob.digest));
    await writeFile(pathOf(blob.digest), bytes);
    const later = await openCache();
    expect(await source(blob, later)).toBe('the store');
    await expect.poll(copies).toEqual([]);
    expect(faults).toEqual([expect.stringContaining('another sha512 than its name')]);
    expect(await source(blob, later)).toBe('the store');
    expect(await source(blob, later)).toBe('the folder');
  });
});

describe('a download goes on in the store', () => {
  it('when the copy is cut off while it is read', async () => {
    const { name, digest, content } = await addBlob();
    await read(name);
    const object = await cache.open(name);
    const bytes = Buffer.alloc(content.length);
    await object?.read(bytes.subarray(0, MIB), 0);
    await truncate(pathOf(digest), 1.5 * MIB);
    for (let position = MIB, count = -1; count !== 0; position += count)
      count = (await object?.read(bytes.subarray(position), position)) ?? 0;
    await object?.close();
    expect(bytes.equals(content)).toBe(true);
    expect(faults).toHaveLength(1);
    expect(await copies()).toEqual([]);
  });

  it('when the folder is full, and says so once', async (context) => {
    await rm(folder, { recursive: true });
    await mountTmpfs(context, folder, 3 * MIB);
    cache = await openCache();
    const [blob, large] = [await addBlob(), await addBlob(4 * MIB)];
    for (let round = 0; round < 2; round++) expect(await source(large)).toBe('the store');
    expect(faults).toEqual([expect.stringMatching(/without the local cache: no room in/)]);
    expect(await copies()).toEqual([]);
    // A smaller one takes the place of an older one.
    await read(blob.name);
    expect(await source(blob)).toBe('the folder');
    const other = await addBlob();
    await read(other.name);
    expect(await copies()).toEqual([other.digest]);
  });

  it('when the reserve of the disk is in use', async () => {
    cache = await openCache(100 * MIB, 2 ** 60);
    expect(await source(await addBlob())).toBe('the store');
    expect(faults).toEqual([expect.stringContaining('must keep')]);
    expect(await copies()).toEqual([]);
  });

  it('when the folder is removed meanwhile, and fills a new one', async () => {
    const blob = await addBlob();
    await read(blob.name);
    await rm(folder, { recursive: true });
    expect(await source(blob)).toBe('the store');
    expect(await source(blob)).toBe('the folder');
    expect(faults).toEqual([]);
  });

  it('when there can be no folder', async () => {
    await rm(folder, { recursive: true });
    await writeFile(folder, 'a file');
    cache = await openCache();
    const blob = await addBlob();
    for (let round = 0; round < 2; round++) expect(await source(blob)).toBe('the store');
    expect(faults.length).toBeGreaterThan(0);
    expect(await readFile(folder, 'utf8')).toBe('a file');
  });
});

describe('the folder of a local cache', () => {
  it('is no store: its blobs would go', async () => {
    folder = root;
    await addBlob();
    await expectCacheError(
      openCache(),
      'config',
      `[store] local-cache: ${root} is no local cache: it holds store.json; name an empty folder`,
    );
  });

  it('loses nothing when a store takes its place meanwhile', async () => {
    cache = await openCache(3 * MIB);
    await read((await addBlob()).name);
    await writeFile(join(folder, 'store.json'), '{"format":1}');
    await read((await addBlob()).name);
    expect(await copies()).toHaveLength(2);
    expect(faults).toEqual([expect.stringContaining('is no local cache: it holds store.json')]);
  });

  it('is freed from what a killed process left', async () => {
    const { name } = await addBlob(20 * MIB);
    const module = (file: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../src/storage/${file}`, import.meta.url)));
    const script = `
      import { createFilesystemStorage } from ${module('filesystem.ts')};
      import { createLocalCache } from ${module('local-cache.ts')};
      const cache = await createLocalCache(createFilesystemStorage(${JSON.stringify(root)}), {
        folder: ${JSON.stringify(folder)}, size: 1e9, onFault: console.error,
      });
      const object = await cache.open(${JSON.stringify(name)});
      const into = Buffer.alloc(1 << 20);
      for (let position = 0; position < 10 << 20;) position += await object.read(into, position);
      process.stdout.write('now');
      setInterval(() => {}, 1000);
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const [leftover = ''] = await readdir(join(folder, 'tmp'));
    expect((await stat(join(folder, 'tmp', leftover))).size).toBeGreaterThan(MIB);
    await openCache();
    expect(await readdir(join(folder, 'tmp'))).toEqual([leftover]);
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    await openCache();
    expect(await readdir(join(folder, 'tmp'))).toEqual([]);
    await mkdir(join(folder, 'lost+found'));
    await openCache();
  });
});
