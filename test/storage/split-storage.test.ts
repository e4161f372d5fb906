import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, stat, truncate, writeFile, chmod, cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { createBlobs } from '../../src/cache/blobs.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { blobName } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { createFilesystemStorage } from '../../src/storage/filesystem.ts';
import { makeStore } from '../../src/storage/open-store.ts';
import { createSplitStorage, sizesOfParts, type SplitStorage } from '../../src/storage/split-storage.ts';
import type { WrittenPart } from '../../src/storage/split-writer.ts';
import { createSplitUpkeep } from '../../src/storage/split-upkeep.ts';
import { createStoreUpkeep } from '../../src/storage/store-upkeep.ts';
import { nameOfTaken, takenName } from '../../src/storage/taken-object.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { describeObjectStorage } from './object-storage-contract.ts';

const LIMITS = { largestFile: 4, partSize: 4 };

let root: string;
let plain: ObjectStorage;
let split: SplitStorage;

beforeEach(async () => {
  root = join(await temporaryFolder(), 'store');
  await makeStore(root);
  plain = createFilesystemStorage(root);
  split = createSplitStorage(plain, LIMITS);
});

async function put(storage: ObjectStorage, name: string, content: string | Uint8Array): Promise<void> {
  const writer = await storage.create(Buffer.byteLength(content));
  try {
    await writer.write([Buffer.from(content)]);
    await writer.commit(name);
  } finally {
    await writer.abort();
  }
}

async function get(storage: ObjectStorage, name: string): Promise<string | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  const bytes = Buffer.alloc(object.size);
  for (let position = 0; position < bytes.length;) {
    const count = await object.read(bytes.subarray(position), position);
    if (count === 0) throw new Error('cut off');
    position += count;
  }
  await object.close();
  return bytes.toString();
}

const parts = async (): Promise<readonly string[]> =>
  (await readdir(join(root, 'parts')).catch(() => [])).sort();
const pathOf = (part: string): string => join(root, 'parts', part);
const temporaryFiles = (): Promise<string[]> => readdir(join(root, 'tmp'));

describe.each([
  ['small limit', { largestFile: 50_000, partSize: 50_000 }],
  ['limit of no use', { largestFile: 2 ** 32 - 1, partSize: 2 ** 31 }],
])('over a folder, with a %s,', (name, limits) => {
  describeObjectStorage(name, async () => {
    const folder = join(await temporaryFolder(), 'store');
    await makeStore(folder);
    const storage = createSplitStorage(createFilesystemStorage(folder), limits);
    return { storage, unfinished: () => readdir(join(folder, 'tmp')) };
  });
});

describe('a blob over the limit', () => {
  it.each([
    ['abcdef', ['a.0001', 'a.0002']],
    ['abcdefghi', ['a.0001', 'a.0002', 'a.0003']],
    // Only a smaller last part says that the blob is complete.
    ['abcdefgh', ['a.0001', 'a.0002', 'a.0003']],
  ])('is kept in parts and read as one object: %s', async (content, expected) => {
    await put(split, 'bcache/a', content);
    expect(await parts()).toEqual(expected);
    expect(await readdir(join(root, 'bcache')).catch(() => [])).toEqual([]);
    expect(await get(split, 'bcache/a')).toBe(content);
    const object = await split.open('bcache/a');
    expect(await split.stat('bcache/a')).toEqual({ size: content.length, modified: object?.modified });
    await object?.close();
    expect(await collect(split.list('bcache/'))).toEqual(['bcache/a']);
    expect(await collect(split.list('parts/'))).toEqual([]);
    expect(await split.ensureDurable('bcache/a')).toBe(true);
    expect(await split.remove('bcache/a')).toBe(true);
    expect(await split.remove('bcache/a')).toBe(false);
    expect(await parts()).toEqual([]);
  });

  it('is none at the limit, nor where the size is not known before', async () => {
    await put(split, 'bcache/a', 'abcd');
    const writer = await split.create();
    await writer.write([Buffer.from('ab'), Buffer.from('cd')]);
    await writer.commit('bcache/b');
    expect((await readdir(join(root, 'bcache'))).sort()).toEqual(['a', 'b']);
    expect(await parts()).toEqual([]);
  });

  it('is read by any storage that looks for parts, in whatever size they are', async () => {
    const content = randomBytes(1000);
    await put(createSplitStorage(plain, { largestFile: 64, partSize: 64 }), 'bcache/a', content);
    const reader = createSplitStorage(plain);
    const object = await reader.open('bcache/a');
    for (let start = 0; start < 1000; start += 37) {
      for (const length of [1, 63, 64, 65, 200]) {
        const into = Buffer.alloc(Math.min(length, 1000 - start));
        for (let at = 0; at < into.length;) at += (await object?.read(into.subarray(at), start + at)) ?? 0;
        expect(into.equals(content.subarray(start, start + length))).toBe(true);
      }
    }
    expect(await object?.read(Buffer.alloc(5), 1000)).toBe(0);
    await object?.close();
  });

  it('is a miss without its last part, or with one that is cut off', async () => {
    const missing = async (): Promise<void> => {
      expect(await split.stat('bcache/a')).toBeUndefined();
      expect(await split.open('bcache/a')).toBeUndefined();
      expect(await collect(split.list('bcache/'))).toEqual([]);
      expect(await split.ensureDurable('bcache/a')).toBe(false);
    };
    await put(split, 'bcache/a', 'abcdefghij');
    await rm(pathOf('a.0003'));
    await missing();
    await put(split, 'bcache/a', 'abcdefghij');
    await chmod(pathOf('a.0002'), 0o644);
    await truncate(pathOf('a.0002'), 3);
    await missing();
    await put(split, 'bcache/a', 'abcdefghij');
    await rm(pathOf('a.0001'));
    await missing();
    // Its remains can be removed all the same.
    await put(split, 'bcache/a', 'abcdefghij');
    await rm(pathOf('a.0003'));
    expect(await split.remove('bcache/a')).toBe(false);
    expect(await parts()).toEqual([]);
  });

  it('is replaced by a whole one, and by one with parts of another size', async () => {
    await put(split, 'bcache/a', 'abcdefghij');
    await put(createSplitStorage(plain, { largestFile: 6, partSize: 6 }), 'bcache/a', 'abcdefghij');
    expect(await parts()).toEqual(['a.0001', 'a.0002']);
    expect(await get(split, 'bcache/a')).toBe('abcdefghij');
    await put(plain, 'bcache/a', 'whole');
    expect(await get(split, 'bcache/a')).toBe('whole');
    expect(await collect(split.list('bcache/'))).toEqual(['bcache/a']);
    await put(createSplitStorage(plain), 'bcache/a', 'new');
    expect(await parts()).toEqual([]);
    await put(split, 'bcache/a', 'abcdefghij');
    expect(await readdir(join(root, 'bcache')).catch(() => [])).toEqual([]);
    expect(await get(split, 'bcache/a')).toBe('abcdefghij');
  });

  it('is refused before the first part where the disk has no room for all of it', async () => {
    await expectCacheError(split.create(2 ** 60), 'no-space');
    expect(await temporaryFiles()).toEqual([]);
  });

  it('is refused under any other name', async () => {
    await expectCacheError(put(split, 'bdir/key/a', 'abcdef'), 'too-large');
    expect(await temporaryFiles()).toEqual([]);
  });

  it('gets no parts of bytes that are not those of its name', async () => {
    const blobs = createBlobs(split);
    const writer = await blobs.create({ digest: digestOf('abcdef'), size: 6 });
    await writer.write([Buffer.from('abcdeX')]);
    await expectCacheError(writer.commit(), 'digest-mismatch');
    expect(await parts()).toEqual([]);
    expect(await temporaryFiles()).toEqual([]);
  });

  it('has parts of the sizes that are planned', () => {
    expect(sizesOfParts(10, 4)).toEqual([4, 4, 2]);
    expect(sizesOfParts(8, 4)).toEqual([4, 4, 0]);
  });
});

describe('a store that has no parts', () => {
  it('is not listed for a miss, and shows at once the first parts that another process writes', async () => {
    let looks = 0;
    const counting: ObjectStorage = {
      ...plain,
      list: (prefix) => {
        if (prefix === 'parts/') looks++;
        return plain.list(prefix);
      },
    };
    const reader = createSplitStorage(counting);
    for (let index = 0; index < 50; index++) expect(await reader.stat(`bcache/${index}`)).toBeUndefined();
    expect(looks).toBe(0);
    // An entry that names the blob may be read right after the blob was written.
    await put(split, 'bcache/a', 'abcdef');
    expect(await reader.stat('bcache/a')).toMatchObject({ size: 6 });
    expect(await get(reader, 'bcache/a')).toBe('abcdef');
    expect(await collect(reader.list('bcache/'))).toEqual(['bcache/a']);
  });
});

describe('parts that something else left', () => {
  const sixes = (): SplitStorage => createSplitStorage(plain, { largestFile: 6, partSize: 6 });

  it('behind a missing one neither hide the blob that replaces them nor stay', async () => {
    for (const [replace, expected] of [
      [() => put(sixes(), 'bcache/a', 'abcdefghij'), ['a.0001', 'a.0002']],
      [() => put(createSplitStorage(plain), 'bcache/a', 'abcdefghij'), []],
      [() => split.remove('bcache/a'), []],
    ] as const) {
      await put(split, 'bcache/a', 'abcdefghij');
      await rm(pathOf('a.0002'));
      await replace();
      expect(await parts()).toEqual(expected);
      if (expected.length > 0) expect(await get(split, 'bcache/a')).toBe('abcdefghij');
      await split.remove('bcache/a');
    }
  });

  it('never make a whole blob together with new ones', async () => {
    await put(split, 'bcache/a', 'abcdefghij');
    const seen = new Set<string | undefined>();
    // What a server reads after each step; old 4+4+2 and new 6+4 share the size of the second part.
    const watching: ObjectStorage = {
      ...plain,
      async create(...args) {
        const writer = await plain.create(...args);
        const commit = async (name: string): Promise<void> => {
          await writer.commit(name);
          seen.add(await get(createSplitStorage(plain), 'bcache/a'));
        };
        return { ...writer, commit };
      },
      async remove(name) {
        const wasThere = await plain.remove(name);
        seen.add(await get(createSplitStorage(plain), 'bcache/a'));
        return wasThere;
      },
    };
    await put(createSplitStorage(watching, { largestFile: 6, partSize: 6 }), 'bcache/a', 'abcdefghij');
    expect([...seen].sort()).toEqual(['abcdefghij', undefined]);
  });

  it('beside the whole blob are not listed as another one', async () => {
    await put(split, 'bcache/a', 'abcdefghij');
    await put(plain, 'bcache/a', 'abcdefghij');
    expect(await collect(split.list('bcache/'))).toEqual(['bcache/a']);
    const upkeep = createSplitUpkeep(createStoreUpkeep(root), split);
    expect(await collect(upkeep.list('bcache'))).toEqual([{ name: 'a', type: 'file' }]);
  });
});

describe('a fault at any step', () => {
  /** A storage whose call number `at` fails, and which knows what is open. */
  function failingAt(at: number): { storage: ObjectStorage; count: () => number; open: () => number } {
    let [calls, open] = [0, 0];
    const step = async <T>(act: () => Promise<T>): Promise<T> => {
      if (++calls === at) throw new CacheError('storage', 'the disk fails');
      return act();
    };
    const storage: ObjectStorage = {
      ...plain,
      stat: (name) => step(() => plain.stat(name)),
      remove: (name) => step(() => plain.remove(name)),
      async open(name) {
        const object = await step(() => plain.open(name));
        if (object === undefined) return undefined;
        open++;
        return {
          ...object,
          read: (into, position) => step(() => object.read(into, position)),
          async close() {
            open--;
            await object.close();
            await step(() => Promise.resolve());
          },
        };
      },
      async create(...args) {
        const writer = await step(() => plain.create(...args));
        return {
          ...writer,
          write: (chunks) => step(() => writer.write(chunks)),
          commit: (name) => step(() => writer.commit(name)),
        };
      },
    };
    return { storage, count: () => calls, open: () => open };
  }

  const CONTENT = 'abcdefghij';
  const ACTIONS: Readonly<Record<string, (storage: SplitStorage) => Promise<unknown>>> = {
    'writing a blob': (storage) => put(storage, 'bcache/a', CONTENT),
    'replacing its parts': async (storage) => {
      await put(createSplitStorage(plain, { largestFile: 6, partSize: 6 }), 'bcache/a', CONTENT);
      await put(storage, 'bcache/a', CONTENT);
    },
    'resuming a blob': async (storage) => {
      await put(split, 'bcache/a', 'abcdefgXij');
      await rm(pathOf('a.0003'), { force: true });
      const writer = await storage.resume('bcache/a', 10, 4, () => undefined);
      try {
        for (const piece of ['abc', 'def', 'ghi', 'j']) await writer.write([Buffer.from(piece)]);
        await writer.commit('bcache/a');
      } finally {
        await writer.abort();
      }
    },
    'reading a blob': async (storage) => {
      await put(split, 'bcache/a', CONTENT);
      const object = await storage.open('bcache/a');
      try {
        for (let at = 0; at < 10;) at += (await object?.read(Buffer.alloc(10), at)) ?? 10;
      } finally {
        await object?.close();
      }
    },
  };

  it.each(Object.entries(ACTIONS))('leaves nothing open or unfinished: %s', async (_what, act) => {
    for (let at = 1; ; at++) {
      const { storage, count, open } = failingAt(at);
      const failed = await act(createSplitStorage(storage, LIMITS)).then(
        () => false,
        () => true,
      );
      expect(open(), `after a fault at step ${at}`).toBe(0);
      expect(await temporaryFiles(), `after a fault at step ${at}`).toEqual([]);
      expect(failed).toBe(count() >= at);
      // Whatever failed, what is read is the blob or nothing.
      if (_what !== 'resuming a blob')
        expect([CONTENT, undefined]).toContain(await get(createSplitStorage(plain), 'bcache/a'));
      if (!failed) break;
      await split.remove('bcache/a');
    }
  });
});

describe('a blob that is resumed', () => {
  const CONTENT = 'abcdefghij';
  const NAME = blobName(digestOf(CONTENT));
  const part = (number: number): string => pathOf(`${digestOf(CONTENT)}.000${number}`);

  async function resume(content: string, pieces = 3): Promise<readonly WrittenPart[]> {
    const told: WrittenPart[] = [];
    const writer = await split.resume(NAME, CONTENT.length, 4, (one) => told.push(one));
    try {
      for (let start = 0; start < content.length; start += pieces)
        await writer.write([Buffer.from(content.slice(start, start + pieces))]);
      if (content.length === CONTENT.length) await writer.commit(NAME);
    } finally {
      await writer.abort();
    }
    return told;
  }

  it('keeps its complete parts when it is given up, and is a miss until the last is there', async () => {
    await resume('abcdefghi');
    expect(await parts()).toHaveLength(2);
    expect(await temporaryFiles()).toEqual([]);
    expect(await split.stat(NAME)).toBeUndefined();
    const before = await Promise.all([part(1), part(2)].map((path) => stat(path)));
    const told = await resume(CONTENT);
    expect(told.map(({ size, sha512, isNew }) => [size, sha512, isNew])).toEqual([
      [4, digestOf('abcd'), false],
      [4, digestOf('efgh'), false],
      [2, digestOf('ij'), true],
    ]);
    const after = await Promise.all([part(1), part(2)].map((path) => stat(path)));
    expect(after.map(({ ino }) => ino)).toEqual(before.map(({ ino }) => ino));
    expect(await get(split, NAME)).toBe(CONTENT);
  });

  it.each([0, 1, 2, 3])('writes a part anew that differs at %d', async (position) => {
    for (const upTo of ['abcdefghi', CONTENT]) {
      await resume(upTo);
      const bytes = await readFile(part(2));
      bytes.writeUInt8(bytes.readUInt8(position) ^ 1, position);
      await chmod(part(2), 0o644);
      await writeFile(part(2), bytes);
      const told = await resume(CONTENT, 2);
      expect(told[1]).toMatchObject({ sha512: digestOf('efgh'), isNew: true });
      expect(told[0]).toMatchObject({ isNew: false });
      expect(await get(split, NAME)).toBe(CONTENT);
      await split.remove(NAME);
    }
  });

  it('as large as one part has an empty part at its end', async () => {
    const name = blobName(digestOf('abcd'));
    const writer = await split.resume(name, 4, 4, () => undefined);
    await writer.write([Buffer.from('abcd')]);
    await writer.commit(name);
    expect(await parts()).toHaveLength(2);
    expect(await get(createSplitStorage(plain), name)).toBe('abcd');
    expect(await readdir(join(root, 'bcache')).catch(() => [])).toEqual([]);
  });

  it('is a miss until its last part was written, also where an old one is there', async () => {
    await resume(CONTENT);
    await rm(part(2));
    const writer = await split.resume(NAME, CONTENT.length, 4, () => undefined);
    await writer.write([Buffer.from('abcdefghi')]);
    expect(await parts()).toHaveLength(2);
    expect(await split.stat(NAME)).toBeUndefined();
    await writer.write([Buffer.from('j')]);
    await writer.commit(NAME);
    expect(await get(split, NAME)).toBe(CONTENT);
  });

  it('leaves a complete blob as it is until all bytes are known', async () => {
    await resume(CONTENT);
    await resume('XXXXXXXXX');
    expect(await get(split, NAME)).toBe(CONTENT);
    expect(await temporaryFiles()).toEqual([]);
  });
});

describe('a process that is killed between two parts', () => {
  it('leaves no blob, and the next writer completes it', async () => {
    const module = (name: string): string =>
      JSON.stringify(fileURLToPath(new URL(`../../src/${name}`, import.meta.url)));
    const script = `
      import { createFilesystemStorage } from ${module('storage/filesystem.ts')};
      import { createSplitStorage } from ${module('storage/split-storage.ts')};
      const inner = createFilesystemStorage(${JSON.stringify(root)});
      const limits = { largestFile: 4, partSize: 4 };
      let commits = 0;
      const storage = createSplitStorage({
        ...inner,
        async create(...args) {
          const writer = await inner.create(...args);
          return { ...writer, async commit(name) {
            if (++commits === 3) {
              process.stdout.write('now');
              await new Promise((resolve) => setTimeout(resolve, 600_000));
            }
            await writer.commit(name);
          } };
        },
      }, limits);
      const writer = await storage.create(10);
      await writer.write([Buffer.from('abcdefghij')]);
      await writer.commit('bcache/a');
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(await parts()).toEqual(['a.0001', 'a.0002']);
    expect(await split.stat('bcache/a')).toBeUndefined();
    expect(await collect(split.list('bcache/'))).toEqual([]);
    await put(split, 'bcache/a', 'abcdefghij');
    expect(await get(split, 'bcache/a')).toBe('abcdefghij');
  });
});

describe('upkeep of a blob in parts', () => {
  const content = 'abcdefghij';

  it('lists it among the blobs', async () => {
    await put(split, 'bcache/a', content);
    await put(split, 'bcache/b', 'b');
    const upkeep = createSplitUpkeep(createStoreUpkeep(root), split);
    expect((await collect(upkeep.list('bcache'))).map(({ name, type }) => [name, type]).sort()).toEqual([
      ['a', 'file'],
      ['b', 'file'],
    ]);
  });

  it('hides all of it, and puts all of it back or removes it', async () => {
    const upkeep = createSplitUpkeep(createStoreUpkeep(root), split);
    await put(split, 'bcache/a', content);
    const hidden = await upkeep.hide('bcache/a');
    expect(hidden).toMatchObject({ size: 10 });
    expect(await split.stat('bcache/a')).toBeUndefined();
    expect(await parts()).toEqual([]);
    await hidden?.putBack();
    expect(await get(split, 'bcache/a')).toBe(content);
    expect(await (await upkeep.hide('bcache/a'))?.remove()).toBe(true);
    expect(await upkeep.hide('bcache/a')).toBeUndefined();
    expect(await temporaryFiles()).toEqual([]);
  });

  it('puts back what it has hidden where a part can not be hidden', async () => {
    await put(split, 'bcache/a', content);
    const upkeep = createStoreUpkeep(root);
    let hidden = 0;
    const hide: typeof upkeep.hide = (name) => {
      if (name === 'parts/a.0001') throw new CacheError('storage', 'the disk fails');
      hidden++;
      return upkeep.hide(name);
    };
    await expectCacheError(createSplitUpkeep({ ...upkeep, hide }, split).hide('bcache/a'), 'storage');
    expect(hidden).toBe(3);
    expect(await get(split, 'bcache/a')).toBe(content);
    expect(await temporaryFiles()).toEqual([]);
  });

  it('puts its parts back when the process was killed that hid it', () => {
    for (const name of ['parts/0a.0001', 'bcache/0a']) expect(nameOfTaken(takenName(name))).toBe(name);
    for (const name of ['../x', 'parts/..', 'parts/../../x', '/etc/x'])
      expect(nameOfTaken(takenName(name))).toBeUndefined();
  });

  it('moves all of it to quarantine, or keeps a copy there', async () => {
    const { quarantine } = createSplitUpkeep(createStoreUpkeep(root), split);
    await put(split, 'bcache/a', content);
    const kept = await quarantine.keep('bcache/a');
    expect(kept).toMatch(/^quarantine\/\w+\/parts\/a\.0001$/);
    expect(await get(split, 'bcache/a')).toBe(content);
    await cp(join(root, kept ?? '', '..'), join(root, 'parts-kept'), { recursive: true });
    expect((await readdir(join(root, 'parts-kept'))).sort()).toEqual(['a.0001', 'a.0002', 'a.0003']);
    expect(await quarantine.move('bcache/a')).toMatch(/parts\/a\.0001/);
    expect(await split.stat('bcache/a')).toBeUndefined();
    expect(await quarantine.move('bcache/a')).toBeUndefined();
  });
});
