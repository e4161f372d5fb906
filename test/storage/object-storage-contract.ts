import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ObjectStorage, OpenObject } from '../../src/cache/object-storage.ts';
import { collect } from '../fixtures/collect.ts';
import { isHeavy } from '../fixtures/heavy.ts';

/** A storage to be tested; empty. */
export interface ContractSubject {
  readonly storage: ObjectStorage;
  /** Everything that stands in its place and is no object: what is being written. */
  readonly unfinished: () => Promise<readonly string[]>;
}

/**
 * What every storage promises (cache/object-storage.ts), as tests. Each storage runs all of them.
 * @param makeSubject is called before each test, and sees to its removal
 */
export function describeObjectStorage(name: string, makeSubject: () => Promise<ContractSubject>): void {
  describe(name, () => {
    let storage: ObjectStorage;
    let unfinished: ContractSubject['unfinished'];

    beforeEach(async () => {
      ({ storage, unfinished } = await makeSubject());
    });

    async function put(object: string, ...chunks: readonly (string | Uint8Array)[]): Promise<void> {
      const writer = await storage.create();
      try {
        for (const chunk of chunks) await writer.write([Buffer.from(chunk)]);
        await writer.commit(object);
      } finally {
        await writer.abort();
      }
    }

    async function putNew(object: string, text: string): Promise<boolean> {
      const writer = await storage.create();
      try {
        await writer.write([Buffer.from(text)]);
        return await writer.commitNew(object);
      } finally {
        await writer.abort();
      }
    }

    async function get(object: string): Promise<string | undefined> {
      const opened = await storage.open(object);
      if (opened === undefined) return undefined;
      try {
        return (await readAll(opened)).toString('latin1');
      } finally {
        await opened.close();
      }
    }

    describe('reading', () => {
      it('gives back what was written, with its size', async () => {
        await put('bcache/a', 'one', '', 'two');
        expect(await get('bcache/a')).toBe('onetwo');
        const opened = await storage.open('bcache/a');
        const stat = await storage.stat('bcache/a');
        expect(stat).toEqual({ size: 6, modified: opened?.modified });
        expect(opened?.size).toBe(6);
        expect(Date.now() - (stat?.modified ?? 0)).toBeLessThan(24 * 3600_000);
        await opened?.close();
      });

      it('gives any range', async () => {
        const bytes = randomBytes(100_000);
        await put('bcache/a', bytes);
        const opened = await storage.open('bcache/a');
        if (opened === undefined) throw new Error('not there');
        for (const [position, length] of [
          [0, 1],
          [0, 100_000],
          [1, 65_536],
          [65_535, 2],
          [99_999, 1],
          [90_000, 20_000],
        ] as const) {
          const into = Buffer.alloc(length, 0xee);
          let count = 0;
          for (let more = -1; more !== 0 && count < length; count += more) {
            more = await opened.read(into.subarray(count), position + count);
          }
          const expected = bytes.subarray(position, position + length);
          expect(count).toBe(expected.length);
          expect(into.subarray(0, count).equals(expected)).toBe(true);
          expect(into.subarray(count).every((byte) => byte === 0xee)).toBe(true);
        }
        await opened.close();
      });

      it('gives nothing at the end and behind it', async () => {
        await put('bcache/a', 'abc');
        const opened = await storage.open('bcache/a');
        expect(await opened?.read(Buffer.alloc(10), 3)).toBe(0);
        expect(await opened?.read(Buffer.alloc(10), 1000)).toBe(0);
        await opened?.close();
      });

      it('reads one object many times at once', async () => {
        const bytes = randomBytes(300_000);
        await put('bcache/a', bytes);
        const all = await Promise.all(Array.from({ length: 20 }, () => get('bcache/a')));
        for (const text of all) expect(text === bytes.toString('latin1')).toBe(true);
      });

      it('tells a miss by undefined, whatever begins alike', async () => {
        await put('bdir/key/a', 'x');
        for (const miss of [
          'bdir/key/b',
          'bdir/key2/a',
          'bdir/ke',
          'bcache/a',
          'bdir/key/aa',
          'other.json',
        ]) {
          expect(await storage.stat(miss), miss).toBeUndefined();
          expect(await storage.open(miss), miss).toBeUndefined();
          expect(await storage.remove(miss), miss).toBe(false);
        }
        expect(await get('bdir/key/a')).toBe('x');
      });

      it('has objects without bytes', async () => {
        await put('bcache/a');
        expect(await storage.stat('bcache/a')).toMatchObject({ size: 0 });
        expect(await get('bcache/a')).toBe('');
      });

      it('takes every name that layout.ts makes', async () => {
        const names = ['store.json', 'bcache/0aF', 'bdir/pypi%3aa_b=1.0+x-%50%2e/0f', 'bdir/%25%23%3f%26/0f'];
        for (const object of names) await put(object, object);
        for (const object of names) expect(await get(object)).toBe(object);
        expect(new Set(await collect(storage.list('bdir/')))).toEqual(new Set(names.slice(2)));
      });
    });

    describe('writing', () => {
      it('shows an object only when it is whole', async () => {
        const writer = await storage.create(6);
        await writer.write([Buffer.from('abc')]);
        await writer.write([Buffer.from('def')]);
        expect(await storage.stat('bcache/a')).toBeUndefined();
        expect(await storage.open('bcache/a')).toBeUndefined();
        expect(await collect(storage.list('bcache/'))).toEqual([]);
        await writer.commit('bcache/a');
        expect(await get('bcache/a')).toBe('abcdef');
        expect(await collect(storage.list('bcache/'))).toEqual(['bcache/a']);
        await writer.abort();
        expect(await get('bcache/a')).toBe('abcdef');
      });

      it('leaves nothing besides a committed object', async () => {
        await put('bcache/a', 'abc');
        expect(await unfinished()).toEqual([]);
      });

      it('leaves nothing of an object that was given up', async () => {
        const [early, late] = [await storage.create(), await storage.create()];
        await late.write([randomBytes(200_000)]);
        for (const writer of [early, late, early, late]) await writer.abort();
        expect(await collect(storage.list('bcache/'))).toEqual([]);
        expect(await unfinished()).toEqual([]);
      });

      it('allows a chunk to be used again after it was written', async () => {
        const writer = await storage.create();
        const chunk = Buffer.alloc(70_000);
        for (const value of ['a', 'b', 'c']) await writer.write([chunk.fill(value)]);
        chunk.fill('d');
        await writer.commit('bcache/a');
        await writer.abort();
        const expected = ['a', 'b', 'c'].map((value) => value.repeat(70_000)).join('');
        expect((await get('bcache/a')) === expected).toBe(true);
      });

      it('puts chunks of any size together in their order', async () => {
        const chunks = [1, 0, 65_536, 3, 5 * 1024 * 1024 + 7, 1, 2 * 1024 * 1024].map((size) =>
          randomBytes(size),
        );
        await put('bcache/a', ...chunks);
        expect((await get('bcache/a')) === Buffer.concat(chunks).toString('latin1')).toBe(true);
      });

      it('replaces an object as a whole', async () => {
        await put('bcache/a', 'a long object');
        await put('bcache/a', 'short');
        expect(await get('bcache/a')).toBe('short');
        expect(await collect(storage.list('bcache/'))).toEqual(['bcache/a']);
        expect(await unfinished()).toEqual([]);
      });

      it('keeps an object readable that is replaced or removed while it is read', async () => {
        const bytes = randomBytes(300_000);
        for (const change of [() => put('bcache/a', 'other'), () => storage.remove('bcache/a')]) {
          await put('bcache/a', bytes);
          const opened = await storage.open('bcache/a');
          if (opened === undefined) throw new Error('not there');
          const start = Buffer.alloc(1000);
          await opened.read(start, 0);
          await change();
          expect(start.equals(bytes.subarray(0, 1000))).toBe(true);
          expect((await readAll(opened)).equals(bytes)).toBe(true);
          await opened.close();
        }
      });

      it('keeps one of several that are written under one name at once, whole', async () => {
        const all = Array.from({ length: 8 }, () => randomBytes(150_000).toString('latin1'));
        await Promise.all(all.map((text) => put('bcache/a', Buffer.from(text, 'latin1'))));
        expect(all).toContain(await get('bcache/a'));
        expect(await unfinished()).toEqual([]);
      });

      it('keeps the first of several that want a new name at once, whole', async () => {
        const all = Array.from({ length: 8 }, (_, index) => String(index).repeat(5000));
        const won = await Promise.all(all.map((text) => putNew('bdir/key/a', text)));
        expect(won.filter(Boolean)).toHaveLength(1);
        const first = all[won.indexOf(true)];
        expect(await get('bdir/key/a')).toBe(first);
        expect(await putNew('bdir/key/a', 'late')).toBe(false);
        expect(await get('bdir/key/a')).toBe(first);
        await storage.remove('bdir/key/a');
        expect(await putNew('bdir/key/a', 'again')).toBe(true);
        expect(await get('bdir/key/a')).toBe('again');
        expect(await collect(storage.list('bdir/'))).toEqual(['bdir/key/a']);
        expect(await unfinished()).toEqual([]);
      });

      it('keeps all of many that are written at once', async () => {
        const names = Array.from({ length: 40 }, (_, index) => `bdir/key${index % 3}/${index}`);
        await Promise.all(names.map((object) => put(object, object)));
        for (const object of names) expect(await get(object)).toBe(object);
        expect(new Set(await collect(storage.list('bdir/')))).toEqual(new Set(names));
      });
    });

    it('makes durable what is there, and tells what is not', async () => {
      await put('bdir/key/a', 'x');
      for (const time of ['first', 'again'])
        expect(await storage.ensureDurable('bdir/key/a'), time).toBe(true);
      expect(await storage.ensureDurable('bdir/key/b')).toBe(false);
      expect(await storage.ensureDurable('bcache/a')).toBe(false);
      await storage.remove('bdir/key/a');
      expect(await storage.ensureDurable('bdir/key/a')).toBe(false);
      await put('bdir/key/a', 'y');
      expect(await storage.ensureDurable('bdir/key/a')).toBe(true);
    });

    describe('listing and removing', () => {
      it('lists what begins with the prefix and nothing else', async () => {
        const names = ['bcache/a', 'bdir/key/a', 'bdir/key/b', 'bdir/key2/a', 'bdir/ke/a', 'store.json'];
        for (const object of names) await put(object, 'x');
        expect(await collect(storage.list('bcache/'))).toEqual(['bcache/a']);
        expect(new Set(await collect(storage.list('bdir/key/')))).toEqual(
          new Set(['bdir/key/a', 'bdir/key/b']),
        );
        expect(await collect(storage.list('bdir/'))).toHaveLength(4);
        expect(await collect(storage.list('bdir/none/'))).toEqual([]);
        expect(await collect(storage.list('none/'))).toEqual([]);
      });

      it('lists more than a page, each once, those of a folder together', async () => {
        // A page of S3 has 1000.
        const names = Array.from({ length: 1100 }, (_, index) => `bdir/k${index >> 1}/${index}`);
        for (let start = 0; start < names.length; start += 100) {
          await Promise.all(names.slice(start, start + 100).map((object) => put(object, 'x')));
        }
        const listed = await collect(storage.list('bdir/'));
        const folders = listed.map((object) => object.slice(0, object.lastIndexOf('/')));
        expect(folders.filter((folder, index) => folder !== folders[index - 1])).toHaveLength(550);
        expect(listed.sort()).toEqual(names.sort());
      });

      it('can be left in the middle of a list, and removes while it lists', async () => {
        for (let index = 0; index < 30; index++) await put(`bdir/key${index % 4}/${index}`, 'x');
        for await (const object of storage.list('bdir/')) {
          expect(object).toMatch(/^bdir\/key/);
          break;
        }
        for await (const object of storage.list('bdir/')) expect(await storage.remove(object)).toBe(true);
        expect(await collect(storage.list('bdir/'))).toEqual([]);
      });

      it('removes once, and takes the name again', async () => {
        await put('bdir/key/a', 'x');
        expect(await storage.remove('bdir/key/a')).toBe(true);
        expect(await storage.remove('bdir/key/a')).toBe(false);
        expect(await get('bdir/key/a')).toBeUndefined();
        expect(await collect(storage.list('bdir/key/'))).toEqual([]);
        await put('bdir/key/a', 'y');
        expect(await get('bdir/key/a')).toBe('y');
      });

      it('loses no object that is added while the last of its key is removed', async () => {
        const comeAndGo = async (worker: number): Promise<void> => {
          for (let round = 0; round < (isHeavy ? 40 : 10); round++) {
            await put(`bdir/key/${worker}`, `${worker} ${round}`);
            expect(await get(`bdir/key/${worker}`)).toBe(`${worker} ${round}`);
            expect(await storage.remove(`bdir/key/${worker}`)).toBe(true);
          }
        };
        await Promise.all(Array.from({ length: 8 }, (_, worker) => comeAndGo(worker)));
        expect(await collect(storage.list('bdir/key/'))).toEqual([]);
        expect(await unfinished()).toEqual([]);
      });
    });
  });
}

async function readAll(opened: OpenObject): Promise<Buffer> {
  const bytes = Buffer.alloc(opened.size);
  for (let position = 0; position < bytes.length;) {
    const count = await opened.read(bytes.subarray(position, position + 100_000), position);
    if (count === 0) throw new Error(`cut off at ${position} of ${bytes.length}`);
    position += count;
  }
  return bytes;
}
