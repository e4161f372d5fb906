import { chmod, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { parseEntry } from '../../src/cache/entry.ts';
import { blobName, entriesPrefix } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import type { Signer } from '../../src/cache/signature.ts';
import type { Source, SourceEntry } from '../../src/cache/source.ts';
import { transferEntries, transferKey, type TransferOptions } from '../../src/operations/transfer.ts';
import { createStoreDestination, ensureBlob } from '../../src/operations/store-destination.ts';
import { createStore, type Store } from '../../src/cache/store.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { everythingBelow, temporaryFiles } from '../http/upload-client.ts';
import {
  addBlob,
  addRelease,
  BOOKWORM,
  keyOf,
  makeStore,
  signRelease,
  trusting,
  type TestStore,
} from './test-store.ts';

const KEY = keyOf();

const destination = (store: Store) => createStoreDestination(store, () => ({ action: 'sync' }));

let signer: Signer;
let stranger: Signer;
let from: TestStore;
let to: TestStore;

beforeAll(async () => {
  [signer, stranger] = [await createTestSigner('site'), await createTestSigner('stranger')];
});

beforeEach(async () => {
  [from, to] = [await makeStore(), await makeStore()];
});

async function transfer(options: Partial<TransferOptions> = {}, source: Source = from.source) {
  const results = await collect(
    transferKey(KEY, source, destination(to), { trusted: trusting(signer), ...options }),
  );
  return results.map(({ outcome, reason }) => (reason === undefined ? outcome : `${outcome}: ${reason}`));
}

/** What the target has of the key, in the order in which nodes try it: the contents of the blobs. */
async function order(store = to): Promise<readonly string[]> {
  const contents = await Promise.all(
    (await store.directory.entries(KEY)).map(async ({ sha512 }) => {
      const object = await store.blobs.open(sha512);
      const text = Buffer.alloc(object?.size ?? 0);
      await object?.read(text, 0);
      await object?.close();
      return text.toString();
    }),
  );
  return contents;
}

/** A source that tells no dates, as another cache over HTTP. */
function undated({ source }: TestStore): Source {
  return {
    ...source,
    entries: async (key) => (await source.entries(key)).map(({ pair }) => parseEntry(pair)),
  };
}

const at = (seconds: number): Date => new Date(Date.UTC(2001, 0, 1, 0, 0, seconds));

describe('what is copied', () => {
  it('has its blob, also if gc takes that just before the entry shows', async () => {
    const { sha512 } = await addRelease(from, signer, { content: 'one' });
    await addBlob(to.blobs, 'one');
    const storage: ObjectStorage = {
      ...to.storage,
      async create(...args) {
        const writer = await to.storage.create(...args);
        return {
          ...writer,
          async commitNew(name) {
            await to.blobs.remove(sha512);
            return writer.commitNew(name);
          },
        };
      },
    };
    const store = createStore({ ...to, storage }, { who: { user: 'root', host: 'master' } });
    const trusted = trusting(signer);
    const results = await collect(transferKey(KEY, from.source, destination(store), { trusted }));
    expect(results).toMatchObject([{ outcome: 'copied' }]);
    expect(await order()).toEqual(['one']);
  });

  it('is verbatim: pair, blob, and when it was received', async () => {
    const entry = await addRelease(from, signer, { content: 'one' }, at(1));
    expect(await transfer()).toEqual(['copied']);
    expect(await to.directory.entries(KEY)).toEqual(await from.directory.entries(KEY));
    expect((await to.directory.entries(KEY))[0]?.pair).toEqual(entry.pair);
    expect(await order()).toEqual(['one']);
  });

  it('is not copied again, and changes nothing', async () => {
    await addRelease(from, signer, { content: 'one' });
    await transfer();
    const before = await contentsOf(to.root);
    expect(await transfer()).toEqual(['unchanged']);
    expect(await transfer({}, undated(from))).toEqual(['unchanged']);
    expect(await contentsOf(to.root)).toEqual(before);
  });

  const made = (day: number) => ({ more: { creation_date: `2026-01-0${day}T00:00:00.000Z` } });

  it('from a cache does not overtake what its signer made later; what tells no date, or is of another, does', async () => {
    const debian = { content: 'debian', os: BOOKWORM } as const;
    for (const [by, release] of [
      [signer, { content: '1', ...made(1) }],
      [signer, { ...debian, ...made(1) }],
      [stranger, { content: 'other', ...made(1) }],
      [signer, { content: '4', ...made(4) }],
      [signer, { content: 'undated' }],
    ] as const)
      await addRelease(from, by, release);
    await addRelease(to, signer, { content: '2', ...made(2) }, at(10));
    await addRelease(to, signer, { content: '3', ...made(3) }, at(11));
    expect(await transfer({ trusted: trusting(signer, stranger) }, undated(from))).toEqual(
      Array(5).fill('copied'),
    );
    expect(await order()).toEqual(['undated', '4', 'other', 'debian', '3', '2', '1']);
  });

  it('of several that its signer made before what is there, the one made last stands first', async () => {
    const days = [1, 2, 3, 4, 5, 6];
    for (const day of days) await addRelease(from, signer, { content: `${day}`, ...made(day) });
    await addRelease(to, signer, { content: '7', ...made(7) });
    await transfer({}, undated(from));
    expect(await order()).toEqual(['7', '6', '5', '4', '3', '2', '1']);
  });

  describe('stands behind what its signer made later, whatever times the source tells:', () => {
    it('what the store has', async () => {
      await addRelease(to, signer, { content: 'new', ...made(2) }, at(10));
      await addRelease(from, signer, { content: 'old', ...made(1) }, at(100));
      await addRelease(from, stranger, { content: 'of another', ...made(1) }, at(50));
      await transfer({ trusted: trusting(signer, stranger) });
      expect(await order()).toEqual(['of another', 'new', 'old']);
    });

    it('what comes with it', async () => {
      await addRelease(from, signer, { content: 'old', ...made(1) }, at(100));
      await addRelease(from, signer, { content: 'new', ...made(3) }, at(1));
      await addRelease(from, signer, { content: 'middle', ...made(2) }, at(50));
      expect(await transfer()).toEqual(['copied', 'copied', 'copied']);
      expect(await order()).toEqual(['new', 'middle', 'old']);
    });

    it('what comes after it', async () => {
      const later = await makeStore();
      await addRelease(from, signer, { content: 'old', ...made(1) }, at(100));
      await addRelease(later, signer, { content: 'new', ...made(2) }, at(5));
      await transfer();
      await transfer({}, later.source);
      expect(await order()).toEqual(['new', 'old']);
    });
  });

  it('counts as received no later than now, whatever the source says: what comes after it is newer', async () => {
    await addRelease(from, signer, { content: 'forged' });
    const received = new Date('9999-12-31T23:59:59.999Z');
    const begin = Date.now();
    await transfer(
      {},
      {
        ...from.source,
        entries: async (key) => (await from.source.entries(key)).map((entry) => ({ ...entry, received })),
      },
    );
    expect((await to.directory.entries(KEY))[0]?.received.getTime()).toBeLessThanOrEqual(Date.now());
    expect((await to.directory.entries(KEY))[0]?.received.getTime()).toBeGreaterThanOrEqual(begin);
    for (const content of ['1', '2', '3']) await addRelease(to, signer, { content });
    expect(await order()).toEqual(['3', '2', '1', 'forged']);
  });

  it('is nothing of a key that the source does not have', async () => {
    expect(await transfer()).toEqual([]);
  });

  it('is what is selected', async () => {
    await addRelease(from, signer, { content: 'one' }, at(1));
    const two = await addRelease(from, signer, { content: 'two' }, at(2));
    expect(await transfer({ select: ({ digest }) => digest === two.digest })).toEqual(['copied']);
    expect(await order()).toEqual(['two']);
  });

  it('is told piece by piece', async () => {
    const content = 'x'.repeat(3_000_000);
    await addRelease(from, signer, { content });
    const progress: [string, number, number | undefined][] = [];
    await transfer({
      onProgress: ({ sha512 }, bytes, size) => progress.push([sha512, bytes, size]),
    });
    expect(progress.reduce((sum, [, bytes]) => sum + bytes, 0)).toBe(3_000_000);
    expect(new Set(progress.map(([digest, , size]) => `${digest} ${size ?? ''}`))).toEqual(
      new Set([`${digestOf(content)} 3000000`]),
    );
  });

  it('is only told of in a dry run', async () => {
    await addRelease(from, signer, { content: 'one' });
    await from.directory.add(KEY, signRelease(signer, { content: 'without blob' }));
    const before = await everythingBelow(to.root);
    expect((await transfer({ dryRun: true })).sort()).toEqual([
      expect.stringMatching(/^refused: .* has no blob/),
      'to-copy',
    ]);
    expect(await everythingBelow(to.root)).toEqual(before);
    await transfer();
    expect(await transfer({ dryRun: true })).toContain('unchanged');
  });
});

describe('the order', () => {
  it.each([
    ['with dates', (store: TestStore) => store.source],
    ['without dates', undated],
  ])('is that of the source %s, however little was there', async (_what, sourceOf) => {
    for (const [index, content] of ['one', 'two', 'three', 'four'].entries())
      await addRelease(from, signer, { content }, at(index));
    const listed = await from.directory.entries(KEY);
    // Each possible part of it is there before.
    for (let mask = 0; mask < 16; mask++) {
      to = await makeStore();
      for (const [index, entry] of [...listed.entries()].reverse()) {
        if ((mask & (1 << index)) === 0) continue;
        await transfer({ select: ({ digest }) => digest === entry.digest });
      }
      await transfer({}, sourceOf(from));
      expect(await order(), `part ${mask}`).toEqual(['four', 'three', 'two', 'one']);
    }
  });

  it('leaves an entry behind the one that stands before it, also when that came here long before', async () => {
    await addRelease(from, signer, { content: 'old' }, at(100));
    await addRelease(from, signer, { content: 'new' }, at(200));
    // The target's clock was slow when it received the newer one from elsewhere.
    await addRelease(to, signer, { content: 'new' }, at(10));
    await transfer();
    expect(await order()).toEqual(['new', 'old']);
  });

  it('makes an entry of a source without dates the newest when nothing that stands before it is there', async () => {
    await addRelease(to, signer, { content: 'here' });
    await addRelease(from, signer, { content: 'one' }, at(1));
    await addRelease(from, signer, { content: 'two' }, at(2));
    await transfer({}, undated(from));
    expect(await order()).toEqual(['two', 'one', 'here']);
  });

  it('goes by the dates among entries that only one of the two has', async () => {
    await addRelease(to, signer, { content: 'two' }, at(2));
    await addRelease(from, signer, { content: 'one' }, at(1));
    await addRelease(from, signer, { content: 'three' }, at(3));
    await transfer();
    expect(await order()).toEqual(['three', 'two', 'one']);
  });

  it('in which things are copied is the oldest first, each blob before its entry', async () => {
    await addRelease(from, signer, { content: 'one' }, at(1));
    await addRelease(from, signer, { content: 'two' }, at(2));
    const done: string[] = [];
    const target = {
      ...to,
      blobs: {
        ...to.blobs,
        create: (announced?: { digest?: ReturnType<typeof digestOf> | undefined }) => {
          done.push(`blob ${announced?.digest === digestOf('one') ? 'one' : 'two'}`);
          return to.blobs.create(announced);
        },
      },
      directory: {
        ...to.directory,
        add: (...args: Parameters<TestStore['directory']['add']>) => {
          done.push(`entry ${args[1].sha512 === digestOf('one') ? 'one' : 'two'}`);
          return to.directory.add(...args);
        },
      },
    };
    await collect(transferKey(KEY, from.source, destination(target), { trusted: trusting(signer) }));
    expect(done).toEqual(['blob one', 'entry one', 'blob two', 'entry two']);
  });
});

it('a list of 435 000 entries that nobody signed is refused entry by entry, and others get their turn meanwhile', async () => {
  const entry = parseEntry([JSON.stringify({ sha512: digestOf('x') }), '']);
  const listed = Array.from({ length: 435_000 }, (_, index) => ({ ...entry, digest: digestOf(`${index}`) }));
  await addRelease(to, signer, { content: 'one' });
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  let refused = 0;
  for await (const { outcome } of transferEntries(KEY, listed, from.source, destination(to), {
    trusted: trusting(signer),
  })) {
    if (outcome === 'refused') refused++;
  }
  clearInterval(timer);
  expect(refused).toBe(listed.length);
  expect(turns).toBeGreaterThan(5);
});

describe('refused, with nothing left of it,', () => {
  /** One bad entry between two good ones: these are copied. */
  async function expectRefused(reason: RegExp, bad: SourceEntry, source = from.source): Promise<void> {
    await addRelease(from, signer, { content: 'old' }, at(1));
    await addRelease(from, signer, { content: 'new' }, at(3));
    const [newest, oldest] = await from.directory.entries(KEY);
    if (newest === undefined || oldest === undefined) throw new Error('two entries are missing');
    const results = await collect(
      transferEntries(KEY, [newest, bad, oldest], source, destination(to), { trusted: trusting(signer) }),
    );
    expect(results.map(({ outcome }) => outcome)).toEqual(['copied', 'refused', 'copied']);
    expect(results[1]?.reason).toMatch(reason);
    expect(await order()).toEqual(['new', 'old']);
    expect(await temporaryFiles(to.root)).toEqual([]);
    expect(await to.blobs.stat(bad.sha512)).toBeUndefined();
  }

  it('is an entry that a stranger signed', async () => {
    await addBlob(from.blobs, 'bad');
    await expectRefused(/no trusted certificate verifies/, signRelease(stranger, { content: 'bad' }));
  });

  it('is an entry without signature', async () => {
    await addBlob(from.blobs, 'bad');
    const [json] = signRelease(signer, { content: 'bad' }).pair;
    await expectRefused(/the entry is not signed/, parseEntry([json, '']));
  });

  it('is a changed entry', async () => {
    await addBlob(from.blobs, 'bad');
    const [json, signature] = signRelease(signer, { content: 'bad' }).pair;
    await expectRefused(
      /no trusted certificate verifies/,
      parseEntry([json.replace('22.04', '24.04'), signature]),
    );
  });

  it('is a good entry of another key', async () => {
    await addBlob(from.blobs, 'bad');
    await expectRefused(
      /does not belong under key/,
      signRelease(signer, { content: 'bad', url: 'https://example.com/other' }),
    );
  });

  it('is an entry whose blob is not there', async () => {
    await expectRefused(/has no blob/, signRelease(signer, { content: 'bad' }));
  });

  it.each([
    ['other bytes', 'baD'],
    ['fewer bytes', 'ba'],
    ['more bytes', 'bad too'],
  ])('is a blob that has %s', async (_what, content) => {
    const lying: Source = {
      ...from.source,
      openBlob: (digest) =>
        digest === digestOf('bad')
          ? Promise.resolve({
              size: undefined,
              pieces: pieces(content),
              close: () => Promise.resolve(),
            })
          : from.source.openBlob(digest),
    };
    await expectRefused(/the bytes have the sha512/, signRelease(signer, { content: 'bad' }), lying);
  });

  it('is a blob that goes on after the size that its entry tells, where the source tells none', async () => {
    let given = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (; ; given++) yield await Promise.resolve(Buffer.alloc(1024));
    }
    const lying: Source = {
      ...from.source,
      openBlob: (digest) =>
        digest === digestOf('bad')
          ? Promise.resolve({ size: undefined, pieces: endless(), close: () => Promise.resolve() })
          : from.source.openBlob(digest),
    };
    const entry = signRelease(signer, { content: 'bad', more: { size: 3 } });
    await expectRefused(/more than the 3 bytes that were announced came/, entry, lying);
    expect(given).toBe(0);
  });

  it('is a blob that is shorter than announced', async () => {
    await addBlob(from.blobs, 'bad');
    const path = join(from.root, blobName(digestOf('bad')));
    const lying: Source = {
      ...from.source,
      async openBlob(digest) {
        const blob = await from.source.openBlob(digest);
        if (digest === digestOf('bad')) {
          await chmod(path, 0o644);
          await truncate(path, 1);
        }
        return blob;
      },
    };
    await expectRefused(
      /1 bytes came where 3 were announced/,
      signRelease(signer, { content: 'bad' }),
      lying,
    );
  });
});

async function* pieces(content: string): AsyncGenerator<Uint8Array> {
  for (const character of content) yield await Promise.resolve(Buffer.from(character));
}

describe('a damaged target', () => {
  it('gets a blob again that is missing or was cut off', async () => {
    await addRelease(from, signer, { content: 'one' });
    await transfer();
    const path = join(to.root, blobName(digestOf('one')));
    await rm(path);
    expect(await transfer()).toEqual(['copied']);
    await chmod(path, 0o644);
    await truncate(path, 1);
    expect(await transfer()).toEqual(['copied']);
    expect(await order()).toEqual(['one']);
    expect(await transfer()).toEqual(['unchanged']);
  });

  it('gets an entry again that is damaged, also when it is the only one', async () => {
    const entry = await addRelease(from, signer, { content: 'one' });
    await transfer();
    const path = join(to.root, entriesPrefix(KEY), entry.digest);
    await chmod(path, 0o644);
    await writeFile(path, '');
    expect(await transfer()).toEqual(['copied']);
    expect(await order()).toEqual(['one']);
  });

  it('keeps a blob whose entry tells a wrong size', async () => {
    await addRelease(from, signer, { content: 'one', more: { size: 7 } });
    expect(await transfer()).toEqual(['copied']);
    expect(await transfer()).toEqual(['unchanged']);
  });

  it('keeps a blob when the source tells no sizes', async () => {
    await addRelease(from, signer, { content: 'one' });
    await transfer();
    const silent: Source = {
      ...from.source,
      blobSize: () => Promise.reject(new CacheError('unavailable', 'no size')),
    };
    expect(await transfer({}, silent)).toEqual(['unchanged']);
  });
});

describe('what concerns more than one entry ends it', () => {
  it.each(['storage', 'no-space', 'unavailable', 'unauthorized', 'forbidden'] as const)(
    '%s',
    async (code) => {
      await addRelease(from, signer, { content: 'one' });
      const failing: Source = {
        ...from.source,
        openBlob: () => Promise.reject(new CacheError(code, 'out of order')),
      };
      await expectCacheError(transfer({}, failing), code, /out of order/);
      expect(await temporaryFiles(to.root).catch(() => [])).toEqual([]);
    },
  );

  it('a blob that breaks off leaves nothing', async () => {
    await addRelease(from, signer, { content: 'one' });
    let isClosed = false;
    const failing: Source = {
      ...from.source,
      openBlob: () =>
        Promise.resolve({
          size: 3,
          pieces: breaking(),
          close: () => {
            isClosed = true;
            return Promise.resolve();
          },
        }),
    };
    await expectCacheError(transfer({}, failing), 'unavailable', /lost/);
    expect(isClosed).toBe(true);
    expect(await temporaryFiles(to.root)).toEqual([]);
    expect(await to.directory.entries(KEY)).toEqual([]);
  });
});

async function* breaking(): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(Buffer.from('o'));
  throw new CacheError('unavailable', 'the connection was lost');
}

describe('two at once', () => {
  it('do no harm', async () => {
    for (const [index, content] of ['one', 'two', 'three'].entries())
      await addRelease(from, signer, { content }, at(index));
    const outcomes = (await Promise.all(Array.from({ length: 5 }, () => transfer()))).flat();
    expect(outcomes.filter((outcome) => outcome.startsWith('refused'))).toEqual([]);
    expect(await order()).toEqual(['three', 'two', 'one']);
    expect(await temporaryFiles(to.root)).toEqual([]);
  });
});

describe('a blob alone', () => {
  it('is copied unless it is there', async () => {
    await addBlob(from.blobs, 'one');
    const wanted = { sha512: digestOf('one'), size: undefined };
    expect(await ensureBlob(wanted, from.source, to)).toBe(false);
    expect(await ensureBlob(wanted, from.source, to)).toBe(true);
    await expectCacheError(
      ensureBlob({ sha512: digestOf('two'), size: 3 }, from.source, to),
      'blob-missing',
      /has no blob/,
    );
  });
});
