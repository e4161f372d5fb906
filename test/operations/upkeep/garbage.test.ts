import fc from 'fast-check';
import { chmod, mkdir, readdir, readFile, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../../../src/cache/digest.ts';
import type { StoredEntry } from '../../../src/cache/directory.ts';
import type { VerifiedEntry } from '../../../src/cache/entry.ts';
import { parseKey, type Key } from '../../../src/cache/key.ts';
import { blobName, entriesPrefix, importRecordName } from '../../../src/cache/layout.ts';
import { isCompatible, type Platform } from '../../../src/cache/platform.ts';
import type { Signer } from '../../../src/cache/signature.ts';
import { createImportRecords } from '../../../src/operations/import-records.ts';
import { removeGarbage } from '../../../src/operations/upkeep/collect-garbage.ts';
import { findGarbage, type GarbageOptions } from '../../../src/operations/upkeep/garbage.ts';
import { removeRelease } from '../../../src/operations/upkeep/remove-release.ts';
import { removeUnnamed } from '../../../src/operations/upkeep/remove-unnamed.ts';
import { recordsIn } from '../../fixtures/store-log.ts';
import { membersOf, unsignedEntry } from '../../fixtures/entries.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { createTestSigner } from '../../http/test-signer.ts';
import {
  addBlob,
  addRelease,
  BOOKWORM,
  JAMMY,
  keyOf,
  makeStore,
  signRelease,
  trusting,
  type TestStore,
} from '../test-store.ts';
import { flipBit, openToVerify } from './upkeep-store.ts';
import { isHeavy } from '../../fixtures/heavy.ts';

const HOUR = 3600_000;
const LONG_AGO = new Date('2020-01-02T03:04:05Z');
const NO_PAUSE = (): Promise<void> => Promise.resolve();

let alice: Signer;
let bob: Signer;
let stranger: Signer;
let store: TestStore;

beforeAll(async () => {
  [alice, bob, stranger] = (await Promise.all(['alice', 'bob', 'stranger'].map(createTestSigner))) as [
    Signer,
    Signer,
    Signer,
  ];
});

beforeEach(async () => {
  store = await makeStore();
});

const open = () => openToVerify(store.root);

const optionsOf = (options: Partial<GarbageOptions>): GarbageOptions => ({
  ...{
    keep: 1,
    grace: 0,
    trusted: trusting(alice, bob),
    pinned: new Set<Key>(),
    unnamed: true,
    allowEmpty: true,
    ...options,
  },
});

const find = async (options: Partial<GarbageOptions> = {}) =>
  (await findGarbage(await open(), optionsOf(options))).garbage;

async function collect(options: Partial<GarbageOptions> = {}) {
  const opened = await open();
  return removeGarbage(opened, await findGarbage(opened, optionsOf(options)), NO_PAUSE);
}

const numberOf = ({ pair }: Pick<VerifiedEntry, 'pair'>) =>
  (JSON.parse(pair[0]) as { number?: number }).number;

/** Which of the entries with a number are there. */
async function numbers(key: Key = keyOf()): Promise<readonly (number | undefined)[]> {
  return (await store.directory.entries(key)).map(numberOf);
}

let added = 0;
/** A build that is newer than all before it. */
function add(
  number: number,
  {
    signer = alice,
    os = JAMMY,
    more = {},
    content = `build ${number}`,
  }: {
    readonly signer?: Signer;
    readonly os?: readonly [string, string, string];
    readonly more?: Readonly<Record<string, unknown>>;
    readonly content?: string;
  } = {},
): Promise<VerifiedEntry> {
  return addRelease(
    store,
    signer,
    { content, os, more: { number, ...more } },
    new Date(Date.UTC(2026, 0, 1) + ++added),
  );
}

describe('superseded entries', () => {
  it('are those of a platform of which there is a newer one', async () => {
    await add(1);
    await add(2, { os: BOOKWORM });
    await add(3);
    await add(4, { os: ['raspbian', '12.9', ''] });
    await add(5, { os: ['ubuntu', '24.04', 'noble'] });
    expect((await find()).entries.map(({ entry }) => entry)).toHaveLength(2);
    await collect();
    expect(await numbers()).toEqual([5, 4, 3]);
    expect(await collect()).toMatchObject({ entries: [], blobs: [] });
  });

  it('are kept as many as are wanted', async () => {
    for (const number of [1, 2, 3, 4, 5]) await add(number);
    await collect({ keep: 3 });
    expect(await numbers()).toEqual([5, 4, 3]);
    await collect({ keep: 9 });
    expect(await numbers()).toEqual([5, 4, 3]);
  });

  it('are none for nodes that trust somebody else, or unpack elsewhere', async () => {
    await add(1, { signer: bob });
    await add(2, { more: { software_root: '/srv/slapgrid' } });
    await add(3);
    await add(4, { signer: stranger });
    await add(5, { signer: stranger });
    await collect();
    expect(await numbers()).toEqual([5, 4, 3, 2, 1]);
    await collect({ trusted: trusting(stranger) });
    expect(await numbers()).toEqual([5, 3, 2, 1]);
  });

  it('are none where the newer one lacks its blob', async () => {
    await add(1);
    await add(2);
    const newest = await add(3);
    await store.blobs.remove(newest.sha512);
    await collect();
    expect(await numbers()).toEqual([3, 2]);
  });

  it('are none under keys whose clients choose by something else', async () => {
    const key = parseKey('pypi:slapos.core=1.0');
    for (const number of [1, 2]) {
      const { software_url: url, ...members } = membersOf('', { number });
      expect(url).toBe('');
      await store.directory.add(key, alice.sign(JSON.stringify(members)));
    }
    await collect();
    expect(await numbers(key)).toHaveLength(2);
  });

  it('are none of a release that is pinned', async () => {
    const entries = [await add(1), await add(2)];
    await collect({ pinned: new Set([keyOf()]) });
    expect(await numbers()).toEqual([2, 1]);
    for (const { sha512 } of entries) expect(await store.blobs.stat(sha512)).toBeDefined();
  });
});

describe('blobs', () => {
  it('that no entry names are garbage, when they are old enough', async () => {
    const [old] = [await add(1), await add(2)];
    for (const content of ['stray and old', 'stray and young']) await addBlob(store.blobs, content);
    const young = digestOf('stray and young');
    for (const digest of [old.sha512, digestOf('stray and old')])
      await utimes(join(store.root, blobName(digest)), LONG_AGO, LONG_AGO);
    expect((await find({ grace: HOUR })).blobs.map(({ sha512 }) => sha512).sort()).toEqual(
      [old.sha512, digestOf('stray and old')].sort(),
    );
    expect((await find({ grace: HOUR })).young).toEqual([{ sha512: young, size: 'stray and young'.length }]);
    const removed = await collect({ grace: HOUR });
    expect(removed.blobs.reduce((sum, { size }) => sum + size, 0)).toBe('build 1stray and old'.length);
    expect(await store.blobs.stat(old.sha512)).toBeUndefined();
    expect(await store.blobs.stat(young)).toBeDefined();
    expect((await collect({ grace: HOUR })).blobs).toEqual([]);
    expect((await collect()).blobs.map(({ sha512 }) => sha512)).toEqual([young]);
  });

  it('that no entry ever named stay, and are counted, unless they are asked for', async () => {
    const [old] = [await add(1), await add(2)];
    await addBlob(store.blobs, 'uploaded by itself');
    const uploaded = { sha512: digestOf('uploaded by itself'), size: 18 };
    expect(await find({ unnamed: false })).toMatchObject({
      ...{ entries: [{ entry: old.digest }], blobs: [{ sha512: old.sha512 }], unnamed: [uploaded] },
    });
    const removed = await collect({ unnamed: false });
    expect(removed.blobs.map(({ sha512 }) => sha512)).toEqual([old.sha512]);
    expect(await store.blobs.stat(old.sha512)).toBeUndefined();
    expect(await store.blobs.stat(uploaded.sha512)).toBeDefined();
    expect(await find({ unnamed: false })).toMatchObject({ entries: [], blobs: [], unnamed: [uploaded] });
    expect(await find({ unnamed: true })).toMatchObject({ blobs: [uploaded], unnamed: [] });
  });

  it('that are young keep their superseded entries, so that both go later', async () => {
    const [old] = [await add(1), await add(2)];
    expect(await find({ unnamed: false, grace: HOUR })).toMatchObject({
      ...{ entries: [], blobs: [], unnamed: [], young: [{ sha512: old.sha512 }] },
    });
    await collect({ unnamed: false, grace: HOUR });
    expect(await numbers()).toEqual([2, 1]);
    await utimes(join(store.root, blobName(old.sha512)), LONG_AGO, LONG_AGO);
    await collect({ unnamed: false, grace: HOUR });
    expect(await numbers()).toEqual([2]);
    expect(await store.blobs.stat(old.sha512)).toBeUndefined();
  });

  it('of entries that were removed by a run that was killed are kept and counted', async () => {
    const [old] = [await add(1), await add(2)];
    const opened = await open();
    const search = await findGarbage(opened, optionsOf({ unnamed: false }));
    const killed = {
      ...opened,
      upkeep: { ...opened.upkeep, hide: () => Promise.reject(new Error('killed')) },
    };
    await expect(removeGarbage(killed, search, NO_PAUSE)).rejects.toThrow('killed');
    expect(await find({ unnamed: false })).toMatchObject({
      ...{ entries: [], blobs: [], unnamed: [{ sha512: old.sha512 }] },
    });
  });

  it('stay where there is no entry at all, unless that is meant', async () => {
    const { sha512 } = await add(1);
    await rm(join(store.root, 'bdir'), { recursive: true });
    await mkdir(join(store.root, 'bdir'));
    const garbage = await find({ allowEmpty: false });
    expect(garbage).toMatchObject({ blobs: [], young: [], records: [], isDoubtful: true });
    await collect({ allowEmpty: false });
    expect(await store.blobs.stat(sha512)).toBeDefined();
    expect(await find({ allowEmpty: true })).toMatchObject({ blobs: [{ sha512 }], isDoubtful: false });
    await collect({ allowEmpty: true });
    expect(await store.blobs.stat(sha512)).toBeUndefined();
    expect(await find({ allowEmpty: false })).toMatchObject({ isDoubtful: false });
  });

  it('that was cut off does not stand for a build that is there: the older one stays', async () => {
    const [old, cut] = [await add(1), await add(2, { more: { size: 'build 2'.length } })];
    await chmod(join(store.root, blobName(cut.sha512)), 0o644);
    await truncate(join(store.root, blobName(cut.sha512)), 0);
    await collect();
    expect(await numbers()).toEqual([2, 1]);
    expect(await store.blobs.stat(old.sha512)).toBeDefined();
  });

  it('that another entry names stay', async () => {
    await add(1, { content: 'shared' });
    await add(2);
    await addRelease(store, alice, { url: 'https://example.com/other', content: 'shared' });
    await collect();
    expect(await numbers()).toEqual([2]);
    expect(await store.blobs.stat(digestOf('shared'))).toBeDefined();
  });

  it.each(['damaged', 'unreadable as a folder'])(
    'all stay while an entry is %s, for it may name any',
    async (how) => {
      const entry = await addRelease(store, alice, { url: 'https://example.com/other', content: 'needed' });
      await add(1);
      await add(2);
      const path = `${entriesPrefix(keyOf({ url: 'https://example.com/other' }))}${entry.digest}`;
      if (how === 'damaged') await flipBit(store.root, path);
      else {
        await rm(join(store.root, path));
        await mkdir(join(store.root, path));
      }
      expect(await collect()).toMatchObject({ blobs: [], entries: [] });
      expect((await find()).damaged).toEqual([
        { key: keyOf({ url: 'https://example.com/other' }), entry: entry.digest },
      ]);
      expect(await store.blobs.stat(digestOf('needed'))).toBeDefined();
      expect(await store.blobs.stat(digestOf('build 1'))).toBeDefined();
    },
  );
});

describe('other garbage', () => {
  it('is what killed writers left, and records of imports whose entry or blob is gone', async () => {
    const records = createImportRecords(store.storage);
    const [old, kept] = [await add(1), await add(2)];
    const platform: Platform = { multiarch: 'x86_64-linux-gnu', os: JAMMY };
    const record = { softwareUrl: 'u', key: keyOf(), platform, warnings: [] };
    for (const { digest: entry, sha512 } of [old, kept])
      await records.add([entry], { ...record, entry, sha512 });
    await records.add(['gone'], { ...record, entry: digestOf('gone'), sha512: kept.sha512 });
    await writeFile(join(store.root, importRecordName(digestOf('damaged'))), '{');
    await writeFile(join(store.root, 'imports', 'stray'), '');
    await writeFile(join(store.root, 'tmp', 'left'), '');
    await utimes(join(store.root, 'tmp', 'left'), LONG_AGO, LONG_AGO);
    await mkdir(join(store.root, 'quarantine'));
    await writeFile(join(store.root, 'quarantine', 'kept'), '');
    const removed = await collect();
    expect(removed.leftovers).toEqual(['tmp/left']);
    expect(removed.records).toHaveLength(3);
    expect((await readdir(join(store.root, 'imports'))).sort()).toEqual(
      [digestOf(JSON.stringify([kept.digest])), 'stray'].sort(),
    );
    expect(await readdir(join(store.root, 'tmp'))).toEqual([]);
    expect(await readdir(join(store.root, 'quarantine'))).toEqual(['kept']);
  });
});

describe('collecting', () => {
  it('removes just what the search found, which changes nothing itself; and records it', async () => {
    for (const number of [1, 2, 3]) await add(number);
    await addBlob(store.blobs, 'stray');
    const before = await contentsOf(store.root);
    const { damaged, young, unnamed, isDoubtful, ...found } = await find();
    expect(await contentsOf(store.root)).toEqual(before);
    expect([damaged, young, unnamed, isDoubtful]).toEqual([[], [], [], false]);
    expect(await collect()).toEqual(found);
    expect([found.entries.length, found.blobs.length]).toEqual([2, 3]);
    expect((await recordsIn(store.root)).map(({ action }) => action)).toEqual(Array(5).fill('gc'));
  });

  it('keeps a blob that got an entry since the search, or was written anew', async () => {
    for (const content of ['named', 'again', 'garbage']) await addBlob(store.blobs, content);
    const opened = await open();
    const search = await findGarbage(opened, optionsOf({ now: Date.now() + 10 }));
    expect(search.garbage.blobs).toHaveLength(3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await addBlob(store.blobs, 'again');
    await store.directory.add(keyOf(), signRelease(alice, { content: 'named' }));
    const removed = await removeGarbage(opened, search, NO_PAUSE);
    expect(removed.blobs.map(({ sha512 }) => sha512)).toEqual([digestOf('garbage')]);
    for (const content of ['named', 'again']) expect(await store.blobs.stat(digestOf(content))).toBeDefined();
    expect(await readdir(join(store.root, 'tmp'))).toEqual([]);
  });

  it('puts everything back when an entry that came meanwhile can not be read', async () => {
    await addBlob(store.blobs, 'garbage');
    const opened = await open();
    const search = await findGarbage(opened, optionsOf({}));
    const removed = await removeGarbage(opened, search, async () => {
      expect(await store.blobs.stat(digestOf('garbage'))).toBeUndefined();
      const entry = await add(1);
      await flipBit(store.root, entriesPrefix(keyOf()) + entry.digest);
    });
    expect(removed.blobs).toEqual([]);
    expect(await store.blobs.stat(digestOf('garbage'))).toBeDefined();
    expect(await readdir(join(store.root, 'tmp'))).toEqual([]);
  });

  it('puts everything back when the store fails meanwhile', async () => {
    await addBlob(store.blobs, 'garbage');
    const opened = await open();
    const search = await findGarbage(opened, optionsOf({}));
    const removing = removeGarbage(opened, search, async () => {
      expect(await store.blobs.stat(digestOf('garbage'))).toBeUndefined();
      await rm(join(store.root, 'bdir'), { recursive: true, force: true });
      await writeFile(join(store.root, 'bdir'), '');
    });
    await expect(removing).rejects.toThrow(/ENOTDIR/);
    expect(await store.blobs.stat(digestOf('garbage'))).toBeDefined();
    await chmod(join(store.root, 'bdir'), 0o644);
  });

  it('restores an entry that was superseded, and was uploaded again since', async () => {
    const old = await add(1);
    await add(2);
    const opened = await open();
    const search = await findGarbage(opened, optionsOf({}));
    const removed = await removeGarbage(opened, search, async () => {
      expect(await store.blobs.stat(old.sha512)).toBeUndefined();
      await store.directory.add(keyOf(), old);
    });
    expect(removed.blobs).toEqual([]);
    expect(await store.blobs.stat(old.sha512)).toBeDefined();
  });
});

describe('removing what removed entries named', () => {
  it('keeps a blob that gets another entry meanwhile, or is written anew', async () => {
    const releases = ['named again', 'written again', 'gone'].map((content) => ({
      content,
      url: `https://example.com/${content}`,
    }));
    for (const release of releases) await addRelease(store, alice, release);
    const opened = await open();
    const since = Date.now();
    const entries = [];
    for (const release of releases)
      entries.push(...(await removeRelease(keyOf(release), opened, { dryRun: false })));
    const settle = async (): Promise<void> => {
      for (const { content } of releases) expect(await store.blobs.stat(digestOf(content))).toBeUndefined();
      await store.directory.add(keyOf(), signRelease(alice, { content: 'named again' }));
      await addBlob(store.blobs, 'written again');
    };
    const removed = await removeUnnamed(opened, entries, { since, dryRun: false, settle });
    expect(removed.isAllSeen).toBe(true);
    expect(await readBlob('named again')).toBe('named again');
    expect(await readBlob('written again')).toBe('written again');
    expect(await store.blobs.stat(digestOf('gone'))).toBeUndefined();
    expect(await readdir(join(store.root, 'tmp'))).toEqual([]);
  });
});

const readBlob = (content: string) => readFile(join(store.root, blobName(digestOf(content))), 'utf8');

describe('whatever a store holds', () => {
  const URLS = ['https://example.com/a', 'https://example.com/b'];
  const PLATFORMS: readonly (readonly [string, readonly [string, string, string] | undefined])[] = [
    ['x86_64-linux-gnu', JAMMY],
    ['x86_64-linux-gnu', BOOKWORM],
    ['x86_64-linux-gnu', ['debian', '12', '']],
    ['aarch64-linux-gnu', ['raspbian', '12.1', 'bookworm']],
    ['aarch64-linux-gnu', JAMMY],
    ['x86_64-linux-gnu', undefined],
  ];
  const ROOTS = ['/opt/slapgrid', '/srv/slapgrid'];

  const entryArbitrary = fc.record({
    url: fc.constantFrom(...URLS),
    signer: fc.constantFrom('alice', 'bob', 'stranger', 'nobody'),
    platform: fc.constantFrom(...PLATFORMS),
    root: fc.constantFrom(...ROOTS),
    blob: fc.nat(6),
    received: fc.nat(20),
  });

  /** What a node takes: whom it trusts, where it runs and unpacks. */
  async function chosenBy(
    url: string,
    accepts: (entry: StoredEntry) => boolean,
    machine: Platform,
    root: string | undefined,
  ): Promise<Digest | undefined> {
    const entries = await store.directory.entries(keyOf({ url }));
    return entries.find(
      (entry) =>
        accepts(entry) &&
        entry.platform !== undefined &&
        isCompatible(entry.platform, machine) &&
        (root === undefined ||
          (JSON.parse(entry.pair[0]) as { software_root: string }).software_root === root),
    )?.digest;
  }

  const allEntries = async () =>
    (await Promise.all(URLS.map((url) => store.directory.entries(keyOf({ url }))))).flat();

  /** What every kind of node takes, and whether its blob is there. */
  async function choices(): Promise<readonly unknown[]> {
    const all: unknown[] = [];
    const trusts = [[alice], [bob], [stranger], [alice, bob], [bob, stranger]].map((list) =>
      trusting(...list),
    );
    const kinds = [
      ...trusts.map((trusted) => (entry: StoredEntry) => trusted.signerOf(entry) !== undefined),
      ({ pair }: StoredEntry) => pair[1] === '',
      () => true,
    ];
    for (const url of URLS)
      for (const [kind, accepts] of kinds.entries())
        for (const [multiarch, os] of PLATFORMS) {
          if (os === undefined) continue;
          for (const root of [...ROOTS, undefined]) {
            const chosen = await chosenBy(url, accepts, { multiarch, os }, root);
            const entry = chosen && (await store.directory.entry(keyOf({ url }), chosen));
            all.push([
              url,
              kind,
              os,
              root,
              chosen,
              entry && (await store.blobs.stat(entry.sha512)) !== undefined,
            ]);
          }
        }
    return all;
  }

  it('no node misses anything after it, and nothing is left to collect', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(entryArbitrary, { maxLength: 25 }),
        fc.uniqueArray(fc.nat(6), { maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.subarray(URLS),
        fc.boolean(),
        async (entries, missing, keep, pins, unnamed) => {
          store = await makeStore();
          for (const [number, { url, signer, platform, root, blob, received }] of entries.entries()) {
            const [multiarch, os] = platform;
            const members = { number, multiarch, os, software_root: root, sha512: digestOf(`blob ${blob}`) };
            const signers = { alice, bob, stranger };
            const entry =
              signer === 'nobody'
                ? unsignedEntry(membersOf(url, members))
                : signers[signer].sign(JSON.stringify(membersOf(url, members)));
            await store.directory.add(keyOf({ url }), entry, new Date(Date.UTC(2026, 0, 1 + received)));
          }
          for (let blob = 0; blob <= 7; blob++)
            if (!missing.includes(blob)) await addBlob(store.blobs, `blob ${blob}`);
          const pinned = new Set(pins.map((url) => keyOf({ url })));
          const before = await choices();
          const named = new Set((await allEntries()).map(({ sha512 }) => sha512));
          const {
            damaged,
            young,
            unnamed: kept,
            isDoubtful,
            ...found
          } = await find({ keep, pinned, unnamed });
          expect([damaged, young, isDoubtful]).toEqual([[], [], false]);
          if (unnamed) expect(kept).toEqual([]);
          else expect(found.blobs.filter(({ sha512 }) => !named.has(sha512))).toEqual([]);
          expect(await collect({ keep, pinned, unnamed })).toEqual(found);
          for (const { sha512 } of kept) expect(await store.blobs.stat(sha512)).toBeDefined();
          expect(await choices()).toEqual(before);
          for (const url of pins)
            expect(await store.directory.digests(keyOf({ url }))).toHaveLength(
              new Set(entries.map((entry, number) => (entry.url === url ? number : -1))).size -
                (entries.some((entry) => entry.url !== url) ? 1 : 0),
            );
          const again = await find({ keep, pinned, unnamed });
          expect([again.entries, again.blobs]).toEqual([[], []]);
          await rm(store.root, { recursive: true });
        },
      ),
      { numRuns: isHeavy ? 100 : 5 },
    );
  });
});
