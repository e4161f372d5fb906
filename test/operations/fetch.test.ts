import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parseEntry } from '../../src/cache/entry.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfFileUrl, parseKey } from '../../src/cache/key.ts';
import type { Platform } from '../../src/cache/platform.ts';
import type { Signer } from '../../src/cache/signature.ts';
import {
  bytesToFetch,
  fetchPlanned,
  planFetch,
  type FetchOptions,
  type FetchPlan,
} from '../../src/operations/fetch.ts';
import type { Source } from '../../src/cache/source.ts';
import { collect } from '../fixtures/collect.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { everythingBelow } from '../http/upload-client.ts';
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
} from './test-store.ts';

const KEY = keyOf();
const MACHINE: Platform = { multiarch: 'x86_64-linux-gnu', os: JAMMY };

let theirs: Signer;
let ours: Signer;
let stranger: Signer;
let upstream: TestStore;
/** As another cache over HTTP: it tells no dates. */
let source: Source;
let store: TestStore;

beforeAll(async () => {
  theirs = await createTestSigner('theirs');
  ours = await createTestSigner('ours');
  stranger = await createTestSigner('stranger');
});

beforeEach(async () => {
  [upstream, store] = [await makeStore(), await makeStore()];
  source = {
    ...upstream.source,
    name: 'http://upstream/bdir',
    entries: async (key) => (await upstream.source.entries(key)).map(({ pair }) => parseEntry(pair)),
  };
});

const trusted = () => trusting(ours, theirs);

function plan(target = RAPID_CDN, machine: Platform | undefined = MACHINE): Promise<FetchPlan> {
  return planFetch(target, source, { trusted: trusted(), machine });
}

async function fetch(made: FetchPlan, options: Partial<FetchOptions> = {}): Promise<readonly string[]> {
  const results = await collect(fetchPlanned(made, source, store, { trusted: trusted(), ...options }));
  return results.map(({ outcome, reason }) => (reason === undefined ? outcome : `${outcome}: ${reason}`));
}

const verdictsOf = ({ offers }: FetchPlan): readonly string[] => offers.map(({ verdict }) => verdict);

function recorded(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return recordsIn(store.root);
}

describe('of what there is', () => {
  it('the newest of the platform is wanted', async () => {
    await addRelease(upstream, theirs, { content: 'old' });
    await addRelease(upstream, theirs, { content: 'debian', os: BOOKWORM });
    await addRelease(upstream, theirs, { content: 'new' });
    const made = await plan();
    expect(verdictsOf(made)).toEqual(['wanted', 'foreign', 'older']);
    expect(made.offers[0]?.entry.sha512).toBe(digestOf('new'));
    expect(made.refusal).toBeUndefined();
  });

  it('the newest of every platform is wanted, if every platform is', async () => {
    await addRelease(upstream, theirs, { content: 'old debian', os: ['debian', '12.1', 'bookworm'] });
    await addRelease(upstream, theirs, { content: 'ubuntu' });
    await addRelease(upstream, theirs, { content: 'debian', os: BOOKWORM });
    await addRelease(upstream, theirs, { content: 'none', more: { os: 'unknown' } });
    const made = await planFetch(RAPID_CDN, source, { trusted: trusted(), machine: undefined });
    // Of Debian only the major version counts: a node takes the first of the two.
    expect(verdictsOf(made)).toEqual(['foreign', 'wanted', 'wanted', 'older']);
  });

  it('what a node drops does not stand in the way', async () => {
    await addRelease(upstream, theirs, { content: 'good' });
    await addRelease(upstream, stranger, { content: 'newer, by a stranger' });
    await upstream.directory.add(KEY, signRelease(ours, { content: 'newest' }));
    expect(verdictsOf(await plan())).toEqual(['wanted', 'refused', 'older']);
  });

  it('an entry of another key is refused, whoever signed it', async () => {
    const { pair } = signRelease(theirs, { content: 'good', url: 'https://example.com/other' });
    source = { ...source, entries: () => Promise.resolve([parseEntry(pair)]) };
    const made = await plan();
    expect(verdictsOf(made)).toEqual(['refused']);
    expect(made.refusal).toMatch(/its one entry there can not be trusted: .*does not belong under key/);
  });

  it('nothing is wanted where all is unsigned', async () => {
    const [json] = signRelease(theirs, { content: 'good' }).pair;
    source = { ...source, entries: () => Promise.resolve([parseEntry([json, ''])]) };
    expect((await plan()).refusal).toMatch(/can not be trusted: the entry is not signed$/);
  });

  it('nothing is wanted for another machine, and the refusal tells for which there is', async () => {
    await addRelease(upstream, theirs, { content: 'debian', os: BOOKWORM });
    await addRelease(upstream, theirs, { content: 'old debian', os: BOOKWORM, more: { note: 'x' } });
    const made = await plan();
    expect(made.refusal).toBe(
      'there is nothing for ubuntu 22.04 x86_64-linux-gnu, only for debian 12.4 x86_64-linux-gnu; choose with --os and --multiarch, or take all with --all-platforms',
    );
    expect(await fetch(made)).toEqual([]);
  });

  it('nothing is there under an unknown URL', async () => {
    expect(await plan('https://example.com/none')).toMatchObject({
      offers: [],
      refusal: expect.stringMatching(
        /^http:\/\/upstream\/bdir has nothing under key [0-9a-f]{32} or file-urlmd5:[0-9a-f]{32}$/,
      ) as string,
    });
  });

  it('nothing is known when the source fails, which concerns this one only', async () => {
    source = { ...source, entries: () => Promise.reject(new CacheError('unavailable', 'out of order')) };
    expect((await plan()).refusal).toBe('out of order');
  });

  it('every entry of a source is wanted that is verified: its clients choose by its members', async () => {
    for (const name of ['pypi:slapos.core=1.0', 'packer-images', 'slapos-buildout-1234', 'ab'.repeat(16)]) {
      const key = parseKey(name);
      const isMachineNamed = name.startsWith('slapos-buildout');
      const more = isMachineNamed ? { multiarch: 'aarch64-linux-gnu', os: BOOKWORM } : {};
      for (const [by, version] of [
        [theirs, '1.0'],
        [stranger, '2.0'],
        [ours, '3.0'],
      ] as const)
        await upstream.directory.add(
          key,
          by.sign(JSON.stringify({ sha512: digestOf(version), version, ...more })),
        );
      const made = await plan(key);
      expect(made.key).toBe(key);
      expect(verdictsOf(made)).toEqual(['wanted', 'refused', 'wanted']);
    }
  });

  it('a source under the key of a release does not stand for it', async () => {
    const source = theirs.sign(JSON.stringify({ sha512: digestOf('source') }));
    await upstream.directory.add(KEY, source);
    expect(verdictsOf(await plan(KEY))).toEqual(['wanted']);
    expect(await plan()).toMatchObject({
      offers: [{ verdict: 'foreign' }],
      refusal: expect.stringMatching(/^there is nothing for ubuntu/) as string,
    });
    await addRelease(upstream, theirs, { content: 'debian', os: BOOKWORM });
    for (const target of [KEY, RAPID_CDN])
      expect(verdictsOf(await plan(target))).toEqual(['foreign', 'foreign']);
  });

  it('a URL that no release has is that of a source file', async () => {
    const url = 'https://example.com/numpy-1.0.tar.gz';
    const key = keyOfFileUrl(url);
    await upstream.directory.add(key, theirs.sign(JSON.stringify({ sha512: digestOf('numpy'), url })));
    const made = await plan(url);
    expect(made).toMatchObject({ target: url, key });
    expect(verdictsOf(made)).toEqual(['wanted']);
    await addRelease(upstream, theirs, { url, content: 'release' });
    expect((await plan(url)).key).toBe(keyOf({ url }));
  });
});

describe('what is fetched', () => {
  it("is the blob and the upstream's own pair, and it is recorded", async () => {
    const entry = await addRelease(upstream, theirs, { content: 'archive' });
    const made = await plan();
    expect(await bytesToFetch(made, source, store)).toBe(7);
    expect(await fetch(made)).toEqual(['fetched']);
    expect((await store.directory.entries(KEY)).map(({ pair }) => pair)).toEqual([entry.pair]);
    expect((await store.blobs.stat(entry.sha512))?.size).toBe(7);
    expect(await recorded()).toMatchObject([
      {
        action: 'fetch',
        key: KEY,
        entry: entry.digest,
        sha512: entry.sha512,
        softwareUrl: RAPID_CDN,
        size: 7,
        source: 'http://upstream/bdir',
      },
    ]);
  });

  it('is each entry of a source, in the order of the upstream', async () => {
    const key = parseKey('packer-images');
    for (const version of ['1', '2', '3']) {
      await addBlob(upstream.blobs, version);
      await upstream.directory.add(key, theirs.sign(JSON.stringify({ sha512: digestOf(version), version })));
    }
    expect(await fetch(await plan(key))).toEqual(['fetched', 'fetched', 'fetched']);
    const pairs = async ({ directory }: TestStore) => (await directory.entries(key)).map(({ pair }) => pair);
    expect(await pairs(store)).toEqual(await pairs(upstream));
    expect(await fetch(await plan(key))).toEqual(['unchanged', 'unchanged', 'unchanged']);
  });

  it('is not fetched again', async () => {
    await addRelease(upstream, theirs, { content: 'archive' });
    await fetch(await plan());
    const before = await everythingBelow(store.root);
    const opened: string[] = [];
    source = {
      ...source,
      openBlob: (digest) => {
        opened.push(digest);
        return upstream.source.openBlob(digest);
      },
    };
    const made = await plan();
    expect(await bytesToFetch(made, source, store)).toBe(0);
    expect(await fetch(made)).toEqual(['unchanged']);
    expect(opened).toEqual([]);
    expect(await everythingBelow(store.root)).toEqual(before);
    expect(await recorded()).toHaveLength(1);
  });

  it('is only what is wanted, and stands before what is older there', async () => {
    await addRelease(upstream, theirs, { content: 'old' });
    await fetch(await plan());
    await addRelease(upstream, theirs, { content: 'debian', os: BOOKWORM });
    await addRelease(upstream, theirs, { content: 'new' });
    expect(await fetch(await plan())).toEqual(['fetched']);
    const entries = await store.directory.entries(KEY);
    expect(entries.map(({ sha512 }) => sha512)).toEqual(['new', 'old'].map(digestOf));
  });

  it('is signed by the site, too, where that is asked for: the same text, beside the other', async () => {
    const entry = await addRelease(upstream, theirs, { content: 'archive' });
    const own = ours.sign(entry.pair[0]);
    expect(await fetch(await plan(), { signer: ours })).toEqual(['fetched']);
    const entries = await store.directory.entries(KEY);
    expect(new Set(entries.map(({ pair }) => pair))).toEqual(new Set([own.pair, entry.pair]));
    // A node that trusts the site alone can install it.
    expect(entries.filter((one) => trusting(ours).signerOf(one) !== undefined)).toHaveLength(1);
    expect(await fetch(await plan(), { signer: ours })).toEqual(['unchanged']);
    expect((await recorded()).map((event) => event['entry'])).toEqual([entry.digest, own.digest]);
  });

  it('signed anew stands where it stood, not before what came later', async () => {
    const day = (number: number) => ({ more: { creation_date: `2026-01-0${number}T00:00:00.000Z` } });
    await addRelease(upstream, theirs, { content: 'old', ...day(1) });
    await addRelease(store, ours, { content: 'other', os: BOOKWORM });
    await addRelease(store, theirs, { content: 'new', ...day(2) });
    await fetch(await plan(), { signer: ours });
    const entries = await store.directory.entries(KEY);
    expect(entries.map(({ sha512 }) => sha512)).toEqual(['new', 'old', 'old', 'other'].map(digestOf));
    const own = entries.map((entry) => trusting(ours).signerOf(entry) !== undefined);
    expect(own.slice(1, 3).sort()).toEqual([false, true]);
    // Not by the same millisecond, where the digests would decide.
    const [first, second] = entries.map(({ received }) => received.getTime());
    expect(first).toBeGreaterThan(second as number);
  });

  it('can be signed later, too', async () => {
    await addRelease(upstream, theirs, { content: 'archive' });
    await fetch(await plan());
    expect(await fetch(await plan(), { signer: ours, dryRun: true })).toEqual(['to-resign']);
    expect(await store.directory.entries(KEY)).toHaveLength(1);
    expect(await fetch(await plan(), { signer: ours })).toEqual(['resigned']);
    expect(await store.directory.entries(KEY)).toHaveLength(2);
  });

  it('is nothing in a dry run', async () => {
    await addRelease(upstream, theirs, { content: 'archive' });
    const before = await everythingBelow(store.root);
    expect(await fetch(await plan(), { dryRun: true, signer: ours })).toEqual(['to-fetch']);
    expect(await everythingBelow(store.root)).toEqual(before);
  });

  it('twice at once is there once', async () => {
    await addRelease(upstream, theirs, { content: 'archive' });
    const made = await plan();
    const outcomes = await Promise.all([
      fetch(made, { signer: ours }),
      fetch(made, { signer: ours }),
      fetch(made, { signer: ours }),
    ]);
    expect(outcomes.flat().filter((outcome) => outcome.startsWith('refused'))).toEqual([]);
    expect(await store.directory.entries(KEY)).toHaveLength(2);
  });
});

describe('what can not be fetched', () => {
  it('is refused by itself, and nothing of it is stored', async () => {
    await addRelease(upstream, theirs, { content: 'good', os: BOOKWORM });
    await upstream.directory.add(KEY, signRelease(theirs, { content: 'without blob' }));
    const made = await planFetch(RAPID_CDN, source, { trusted: trusted(), machine: undefined });
    expect((await fetch(made, { signer: ours })).toSorted()).toEqual([
      'fetched',
      expect.stringMatching(/^refused: http:\/\/upstream\/bdir has no blob/) as string,
    ]);
    const entries = await store.directory.entries(KEY);
    expect(new Set(entries.map(({ sha512 }) => sha512))).toEqual(new Set([digestOf('good')]));
  });

  it('says of the rest that it is not fetched when the source fails in the middle', async () => {
    await addRelease(upstream, theirs, { content: 'one', os: BOOKWORM });
    await addRelease(upstream, theirs, { content: 'two' });
    const made = await planFetch(RAPID_CDN, source, { trusted: trusted(), machine: undefined });
    source = { ...source, openBlob: () => Promise.reject(new CacheError('unavailable', 'lost')) };
    expect(await fetch(made)).toEqual(['not-fetched: lost', 'not-fetched: lost']);
    expect(await store.directory.entries(KEY)).toEqual([]);
  });

  it('because the store fails ends it', async () => {
    await addRelease(upstream, theirs, { content: 'one' });
    const made = await plan();
    const full = {
      ...store,
      blobs: { ...store.blobs, create: () => Promise.reject(new CacheError('no-space', 'full')) },
    };
    await expectCacheError(
      collect(fetchPlanned(made, source, full, { trusted: trusted() })),
      'no-space',
      /full/,
    );
  });

  it('counts for nothing when the source tells no size', async () => {
    await addRelease(upstream, theirs, { content: 'archive' });
    source = { ...source, blobSize: () => Promise.reject(new CacheError('unavailable', 'no size')) };
    const made = await plan();
    expect(await bytesToFetch(made, source, store)).toBe(0);
    expect(await fetch(made)).toEqual(['fetched']);
  });
});
