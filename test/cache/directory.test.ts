import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { createDirectory, parseStoredEntry, type Directory } from '../../src/cache/directory.ts';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import { CacheError } from '../../src/cache/errors.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

let root: string;
let clock: number;
let damage: Digest[];
let directory: Directory;

beforeEach(async () => {
  root = await temporaryFolder();
  clock = Date.UTC(2026, 0, 1);
  damage = [];
  directory = createDirectory(await openStorage(root, { write: true }), {
    now: () => clock,
    onDamage: (_key, digest) => damage.push(digest),
  });
});

const entryOf = (number: number): VerifiedEntry => unsignedEntry(membersOf(RAPID_CDN, { number }));
const digestsOf = async () => (await directory.entries(KEY)).map(({ digest }) => digest);
const fileOf = ({ digest }: { digest: Digest }) => join(root, 'bdir', KEY, digest);

describe('the directory', () => {
  it('knows nothing of a key without entries', async () => {
    expect(await directory.entries(KEY)).toEqual([]);
    expect(await directory.entry(KEY, entryOf(1).digest)).toBeUndefined();
    expect(await collect(directory.list())).toEqual([]);
  });

  it('gives back what was added, the exact text with it, and when it came', async () => {
    const added = unsignedEntry({ ...membersOf(RAPID_CDN), naïve: '版 \u2028 \u0000' });
    expect(await directory.add(KEY, added)).toBe(true);
    const [stored, ...more] = await directory.entries(KEY);
    expect(more).toEqual([]);
    expect(stored).toEqual({ ...added, received: new Date(clock) });
    expect(await directory.entry(KEY, added.digest)).toEqual(stored);
  });

  it('puts the newest entry first', async () => {
    const entries = [1, 2, 3, 4, 5].map(entryOf);
    for (const entry of entries) {
      clock += 1000;
      await directory.add(KEY, entry);
    }
    expect(await digestsOf()).toEqual(entries.map(({ digest }) => digest).reverse());
  });

  it('puts the last added entry first though the clock stands still or jumps back', async () => {
    const entries = [1, 2, 3, 4, 5, 6].map(entryOf);
    for (const [index, entry] of entries.entries()) {
      if (index === 2) clock = 0;
      if (index === 4) clock += 5000;
      await directory.add(KEY, entry);
    }
    expect(await digestsOf()).toEqual(entries.map(({ digest }) => digest).reverse());
  });

  it('loses no entry though another came at the end of time', async () => {
    clock = Date.parse('9999-12-31T23:59:59.999Z');
    await directory.add(KEY, entryOf(1));
    clock = Date.UTC(2026, 0, 1);
    await directory.add(KEY, entryOf(2));
    expect(await directory.entries(KEY)).toHaveLength(2);
    expect(damage).toEqual([]);
  });

  it('keeps 50 entries that are added to one key at once', async () => {
    const entries = Array.from({ length: 50 }, (_, number) => entryOf(number));
    const added = await Promise.all(entries.map((entry) => directory.add(KEY, entry)));
    expect(added.every(Boolean)).toBe(true);
    expect(new Set(await digestsOf())).toEqual(new Set(entries.map(({ digest }) => digest)));
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    const last = entryOf(50);
    await directory.add(KEY, last);
    expect((await digestsOf())[0]).toBe(last.digest);
  });

  it('takes the same pair once', async () => {
    expect(await directory.add(KEY, entryOf(1))).toBe(true);
    const before = await readFile(fileOf(entryOf(1)));
    clock += 1000;
    await directory.add(KEY, entryOf(2));
    expect(await directory.add(KEY, entryOf(1))).toBe(false);
    expect(await readFile(fileOf(entryOf(1)))).toEqual(before);
    expect((await digestsOf())[0]).toBe(entryOf(2).digest);
  });

  it('takes the same pair once when it comes ten times at once', async () => {
    const added = await Promise.all(Array.from({ length: 10 }, () => directory.add(KEY, entryOf(1))));
    expect(added.filter(Boolean)).toHaveLength(1);
    expect(await digestsOf()).toEqual([entryOf(1).digest]);
  });

  it('leaves a pair in its place when it comes again while newer entries are added', async () => {
    const storage = await openStorage(root, { write: true });
    const slow = createDirectory(
      {
        ...storage,
        create: async (...args) => {
          // Faster writers.
          await directory.add(KEY, entryOf(1));
          clock += 1000;
          await directory.add(KEY, entryOf(2));
          return storage.create(...args);
        },
      },
      { now: () => clock + 1000 },
    );
    expect(await slow.add(KEY, entryOf(1))).toBe(false);
    expect(await digestsOf()).toEqual([entryOf(2), entryOf(1)].map(({ digest }) => digest));
  });

  it('refuses an entry that was replayed under another key, and keeps nothing of it', async () => {
    const other = keyOfSoftwareUrl(`${RAPID_CDN}?`);
    await expectCacheError(directory.add(other, entryOf(1)), 'key-mismatch');
    expect(await collect(directory.list())).toEqual([]);
    expect(await readdir(root)).not.toContain('bdir');
  });

  it('keeps the keys of a site beside others that begin alike', async () => {
    const keys = ['pypi:a=1', 'pypi:a=1.0', 'pypi:A=1', 'pypi:a=1.'].map(parseKey);
    const entry = unsignedEntry({ sha512: entryOf(1).sha512, basename: 'a' });
    for (const key of keys) {
      expect(await directory.entries(key)).toEqual([]);
      await directory.add(key, entry);
    }
    const listed = await collect(directory.list());
    expect(new Set(listed.map(({ key }) => key))).toEqual(new Set(keys));
    for (const key of keys) expect(await directory.entries(key)).toHaveLength(1);
  });

  it('lists the names of all entries without strays, and removes one', async () => {
    await directory.add(KEY, entryOf(1));
    await directory.add(KEY, entryOf(2));
    await mkdir(join(root, 'bdir', 'lost+found'));
    await writeFile(join(root, 'bdir', KEY, 'notes.txt'), '');
    await writeFile(join(root, 'bdir', 'README'), '');
    expect(await directory.remove(KEY, entryOf(1).digest)).toBe(true);
    expect(await directory.remove(KEY, entryOf(1).digest)).toBe(false);
    expect(await collect(directory.list())).toEqual([{ key: KEY, digest: entryOf(2).digest }]);
    expect(await digestsOf()).toEqual([entryOf(2).digest]);
  });
});

describe('a damaged entry', () => {
  const intact = () => readFile(fileOf(entryOf(1)), 'utf8');
  const spoil = async (content: string | Uint8Array) => {
    await rm(fileOf(entryOf(1)));
    await writeFile(fileOf(entryOf(1)), content);
  };

  const kinds: [string, (text: string) => string | Uint8Array][] = [
    ['is empty', () => ''],
    ['is cut off', (text) => text.slice(0, -10)],
    ['holds zeros, as after a loss of power', (text) => Buffer.alloc(text.length)],
    ['has one bit flipped in its text', (text) => text.replace('opt', 'oqt')],
    ['holds another entry', (text) => text.replace('number\\":1', 'number\\":7')],
    ['has no date', (text) => text.replace(/"received":"[^"]*"/, '"received":"soon"')],
    ['is no entry', () => '{}'],
    ['is not UTF-8', (text) => Buffer.from(text.replace('opt', 'ÿÿÿ'), 'latin1')],
    ['is larger than any entry', (text) => text + ' '.repeat(100_000)],
  ];

  it.each(kinds)('that %s is told of while the others are served', async (_what, change) => {
    await directory.add(KEY, entryOf(1));
    await directory.add(KEY, entryOf(2));
    await spoil(change(await intact()));
    expect(await digestsOf()).toEqual([entryOf(2).digest]);
    expect(damage).toEqual([entryOf(1).digest]);
    await expectCacheError(directory.entry(KEY, entryOf(1).digest), 'damaged', /is damaged/);
  });

  it.each(kinds)(
    'that %s is an error when it is the only one: "none" would make nodes compile',
    async (_what, change) => {
      await directory.add(KEY, entryOf(1));
      await spoil(change(await intact()));
      await expectCacheError(directory.entries(KEY), 'damaged', /is damaged/);
      expect(damage).toEqual([entryOf(1).digest]);
    },
  );

  it('is replaced when the same pair is added again', async () => {
    await directory.add(KEY, entryOf(1));
    await spoil('');
    expect(await directory.add(KEY, entryOf(1))).toBe(true);
    expect(await digestsOf()).toEqual([entryOf(1).digest]);
  });

  it('does not keep another pair from being added', async () => {
    await directory.add(KEY, entryOf(1));
    await spoil('');
    expect(await directory.add(KEY, entryOf(2))).toBe(true);
    expect(await digestsOf()).toEqual([entryOf(2).digest]);
  });

  it('is one that stands under another key than its own', async () => {
    await directory.add(KEY, entryOf(1));
    const other = keyOfSoftwareUrl(`${RAPID_CDN}?`);
    await mkdir(join(root, 'bdir', other));
    await writeFile(join(root, 'bdir', other, entryOf(1).digest), await intact());
    await expectCacheError(directory.entries(other), 'damaged', /does not belong under key/);
  });
});

it('of a key that cannot be listed is not taken for damaged: what is added would not know its place', async () => {
  const lost = new CacheError('damaged', "can't list: the disk fails (EIO)");
  const failing: ObjectStorage = {
    ...(await openStorage(root, { write: true })),
    // eslint-disable-next-line require-yield
    async *list() {
      await Promise.reject(lost);
    },
  };
  await expectCacheError(createDirectory(failing).add(KEY, entryOf(1)), 'damaged', /can't list/);
});

describe('the object of an entry', () => {
  const text = async (): Promise<Buffer> => {
    await directory.add(KEY, entryOf(1));
    return readFile(fileOf(entryOf(1)));
  };

  it('with any one bit flipped is not taken for what was written', async () => {
    const whole = await text();
    const read = (bytes: Buffer) =>
      parseStoredEntry(bytes.toString('utf8'), KEY, entryOf(1).digest, 'the entry');
    expect(read(whole).received).toEqual(new Date(clock));
    for (let bit = 0; bit < 8 * whole.length; bit++) {
      const flipped = Buffer.from(whole);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => read(flipped), `bit ${bit}: ${flipped.toString('utf8')}`).toThrow(/is damaged/);
    }
  });

  it('of an older version, which did not guard its time, is read', async () => {
    const { check, ...older } = JSON.parse((await text()).toString()) as Record<string, unknown>;
    expect(check).toMatch(/^[0-9a-f]{16}$/);
    await rm(fileOf(entryOf(1)));
    await writeFile(fileOf(entryOf(1)), JSON.stringify(older));
    expect(await digestsOf()).toEqual([entryOf(1).digest]);
  });
});
