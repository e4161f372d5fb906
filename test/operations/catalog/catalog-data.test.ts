import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CatalogQuery } from '../../../src/cache/catalog.ts';
import { digestOf } from '../../../src/cache/digest.ts';
import { parseEntry } from '../../../src/cache/entry.ts';
import { keyOfSoftwareUrl, parseKey, type Key } from '../../../src/cache/key.ts';
import { BytesTable } from '../../../src/operations/catalog/bytes-table.ts';
import { CatalogData, type ReadEntry } from '../../../src/operations/catalog/catalog-data.ts';
import { createCatalog } from '../../../src/operations/catalog/create-catalog.ts';
import { SortedList } from '../../../src/operations/catalog/sorted-list.ts';
import { TextPages } from '../../../src/operations/catalog/text-pages.ts';
import { membersOf } from '../../fixtures/entries.ts';

const SIGNER = { name: 'ShaCache', fingerprint: 'AB:CD' };
const catalogOf = (data: CatalogData) => createCatalog(() => ({ data, isComplete: true, fault: undefined }));
const urlOf = (name: string, version: string): string =>
  `https://host/group/slapos/raw/${version}/software/${name}/software.cfg`;

interface Given {
  readonly os?: readonly [string, string, string];
  readonly content?: string;
  readonly at?: number;
  readonly isTrusted?: boolean;
}

function entryOf(
  members: Readonly<Record<string, unknown>>,
  { content = 'x', at = 0, isTrusted = true }: Given = {},
): ReadEntry {
  const entry = parseEntry([JSON.stringify({ ...members, sha512: digestOf(content) }), 'c2ln']);
  return {
    digest: entry.digest,
    stored: { ...entry, received: new Date(at) },
    signer: isTrusted ? SIGNER : undefined,
  };
}

function release(url: string, given: Given = {}): ReadEntry {
  return entryOf(
    membersOf(url, { sha512: digestOf(''), os: given.os ?? ['debian', '12.4', 'bookworm'] }),
    given,
  );
}

function putRelease(data: CatalogData, url: string, given: Given = {}, size: number | 'missing' = 1): Key {
  const entry = release(url, given);
  const key = keyOfSoftwareUrl(url);
  data.put(
    key,
    [entry],
    new Map([[entry.stored?.sha512 ?? digestOf(''), size === 'missing' ? undefined : size]]),
  );
  return key;
}

/** All pages of a query, by following the cursors. */
function allPages(data: CatalogData, query: CatalogQuery): readonly string[] {
  const urls: string[] = [];
  for (let cursor: string | undefined, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
    const page = catalogOf(data).releases({ ...query, ...(cursor === undefined ? {} : { cursor }) });
    urls.push(...page.items.map(({ url }) => url));
    cursor = page.cursor;
  }
  return urls;
}

describe('the order', () => {
  it('is the same as that of a sort, whatever came and went', () => {
    const item = fc.record({
      name: fc.constantFrom('kvm', 'kvm-x', 'rapid-cdn', 'Erp5', 'é'),
      version: fc.constantFrom('1.0', '1.0.344', '2', 'V3'),
      size: fc.option(fc.nat(5), { nil: 'missing' as const }),
      at: fc.nat(9),
      isRemoved: fc.boolean(),
    });
    fc.assert(
      fc.property(
        fc.array(item, { maxLength: 80 }),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        (items, limit, isDescending) => {
          const data = new CatalogData();
          const model = new Map<string, { readonly size: number; readonly at: number }>();
          for (const { name, version, size, at, isRemoved } of items) {
            const url = urlOf(name, version);
            if (isRemoved) {
              data.put(keyOfSoftwareUrl(url), [], new Map());
              model.delete(url);
            } else {
              putRelease(data, url, { at, content: url }, size);
              model.set(url, { size: size === 'missing' ? 0 : size, at });
            }
          }
          expect(catalogOf(data).state).toMatchObject({ releases: model.size, entries: model.size });
          for (const sort of ['size', 'received', 'name'] as const) {
            const urls = allPages(data, { sort, isDescending, limit });
            expect([...urls].sort()).toEqual([...model.keys()].sort());
            const values = urls.map(
              (url) => (sort === 'size' ? model.get(url)?.size : model.get(url)?.at) ?? 0,
            );
            const sign = isDescending ? -1 : 1;
            if (sort !== 'name') expect(values).toEqual([...values].sort((a, b) => sign * (a - b)));
          }
          const found = allPages(data, { text: 'KVM', limit });
          expect([...found].sort()).toEqual([...model.keys()].filter((url) => url.includes('kvm')).sort());
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is by name, then by URL', () => {
    const data = new CatalogData();
    const urls = [
      urlOf('kvm', '1.0'),
      urlOf('kvm', '2.0'),
      urlOf('kvm-cluster', '1.0'),
      urlOf('rapid-cdn', '1.0'),
    ];
    for (const url of [...urls].reverse()) putRelease(data, url);
    expect(allPages(data, {})).toEqual(urls);
    expect(allPages(data, { isDescending: true })).toEqual([...urls].reverse());
  });

  it('holds thousands of keys', () => {
    const data = new CatalogData();
    const urls = Array.from({ length: 5000 }, (_, index) => urlOf(`n${(index * 7919) % 5000}`, '1'));
    for (const url of urls) putRelease(data, url, { content: url });
    expect(allPages(data, { limit: 999 })).toEqual([...urls].sort());
    for (const url of urls.slice(0, 4000)) data.put(keyOfSoftwareUrl(url), [], new Map());
    expect(allPages(data, { limit: 999, isDescending: true })).toEqual(urls.slice(4000).sort().reverse());
  });
});

describe('a cursor', () => {
  it('stays right while keys come and go', () => {
    const data = new CatalogData();
    for (const name of ['a', 'c', 'e', 'g']) putRelease(data, urlOf(name, '1'));
    const first = catalogOf(data).releases({ limit: 2 });
    expect(first.items.map(({ name }) => name)).toEqual(['a', 'c']);
    data.put(keyOfSoftwareUrl(urlOf('c', '1')), [], new Map());
    for (const name of ['b', 'd']) putRelease(data, urlOf(name, '1'));
    const next = catalogOf(data).releases({ limit: 2, cursor: first.cursor ?? '' });
    expect(next.items.map(({ name }) => name)).toEqual(['d', 'e']);
    expect(next.total).toBe(5);
  });

  it.each(['x', 'bm8', Buffer.from('["name",1,"x"]').toString('base64url'), ''])(
    '%j is refused',
    (cursor) => {
      const data = new CatalogData();
      putRelease(data, urlOf('a', '1'));
      expect(() => catalogOf(data).releases({ cursor })).toThrow(expect.objectContaining({ code: 'usage' }));
    },
  );

  it('of another order is refused', () => {
    const data = new CatalogData();
    for (const name of ['a', 'b']) putRelease(data, urlOf(name, '1'));
    const { cursor = '' } = catalogOf(data).releases({ limit: 1 });
    expect(() => catalogOf(data).releases({ cursor, sort: 'size' })).toThrow(/^cursor: /);
  });
});

describe('a query', () => {
  const data = new CatalogData();
  const kvm = putRelease(data, urlOf('kvm', '1.0.344'), { content: 'kvm', at: 1000 });
  putRelease(data, urlOf('Rapid-CDN', '1.0'), { os: ['ubuntu', '22.04', 'jammy'], at: 5000, content: 'cdn' });
  const pypi = parseKey('pypi:Foo=1');
  const egg = entryOf(
    { url: 'https://pypi.example/Foo-1.tar.gz', basename: 'Foo-1.tar.gz' },
    { content: 'egg' },
  );
  data.put(pypi, [egg], new Map([[digestOf('egg'), 3]]));
  const names = (query: CatalogQuery) =>
    catalogOf(data)
      .releases(query)
      .items.map(({ name }) => name);
  const sources = (query: CatalogQuery) =>
    catalogOf(data)
      .sources(query)
      .items.map(({ key }) => key);

  it.each([
    [{ text: 'RAPID cdn 1.0' }, ['Rapid-CDN']],
    [{ text: 'software nothing' }, []],
    [{ text: 'rapid '.repeat(100) }, ['Rapid-CDN']],
    [{ text: kvm.slice(3, 20).toUpperCase() }, ['kvm']],
    [{ text: digestOf('cdn') }, ['Rapid-CDN']],
    [{ text: digestOf('cdn').slice(5, 16) }, ['Rapid-CDN']],
    [{ name: 'kvm' }, ['kvm']],
    [{ name: 'kv' }, []],
    [{ os: 'debian 12' }, ['kvm']],
    [{ os: '["ubuntu","22.04","jammy"]' }, ['Rapid-CDN']],
    [{ os: 'ubuntu-22.04', multiarch: 'x86_64-linux-gnu' }, ['Rapid-CDN']],
    [{ multiarch: 'aarch64-linux-gnu' }, []],
    [{ since: new Date(2000) }, ['Rapid-CDN']],
  ])('%j', (query, expected) => {
    expect(names(query)).toEqual(expected);
  });

  it.each([
    [{ text: 'foo' }, [pypi]],
    [{ text: 'PYPI:' }, [pypi]],
    [{ text: 'pypi.example/foo' }, [pypi]],
    [{ text: digestOf('egg').slice(0, 9) }, [pypi]],
    [{ name: 'kvm' }, []],
    [{ text: 'kvm' }, []],
  ])('%j of sources', (query, expected) => {
    expect(sources(query)).toEqual(expected);
  });

  it.each([
    [{ os: 'nonsense' }, /not an operating system/],
    [{ os: '["debian"]' }, /^os: /],
    [{ multiarch: 'amd64' }, /x86_64-linux-gnu/],
    [{ limit: 0 }, /^limit: /],
    [{ limit: 1001 }, /^limit: /],
  ])('%j is wrong', (query, message) => {
    expect(() => names(query)).toThrow(message);
  });

  it('shows everything of a source', () => {
    expect(catalogOf(data).sources().items).toEqual([
      {
        key: pypi,
        entries: [
          {
            ...{
              sha512: digestOf('egg'),
              size: 3,
              received: new Date(0),
              signer: SIGNER,
              platform: undefined,
            },
            ...{ url: 'https://pypi.example/Foo-1.tar.gz', basename: 'Foo-1.tar.gz' },
          },
        ],
      },
    ]);
  });
});

describe('a release', () => {
  const URL = urlOf('kvm', '1.0.344');
  const KEY = keyOfSoftwareUrl(URL);

  it('has the newest trusted entry of each platform', () => {
    const data = new CatalogData();
    const entries = [
      release(URL, { content: 'untrusted', at: 3, isTrusted: false }),
      release(URL, { content: 'new', at: 2 }),
      release(URL, { content: 'old', at: 1 }),
      release(URL, { content: 'nobody', at: 0, os: ['arch', '', ''], isTrusted: false }),
    ];
    data.put(KEY, entries, new Map([[digestOf('new'), 7]]));
    expect(catalogOf(data).release(KEY)).toMatchObject({
      ...{ key: KEY, url: URL, name: 'kvm', version: '1.0.344' },
      builds: [
        { sha512: digestOf('nobody'), size: undefined, signer: undefined },
        { sha512: digestOf('new'), size: 7, signer: SIGNER },
      ].reverse(),
    });
    expect(data.refused).toEqual({ damaged: 0, untrusted: 2, 'blob-missing': 3 });
    expect(catalogOf(data).release(parseKey('0'.repeat(32)))).toBeUndefined();
  });

  it('counts again when its blob comes and goes', () => {
    const data = new CatalogData();
    for (const [name, size] of [
      ['a', 'missing'],
      ['b', 5],
    ] as const)
      putRelease(data, urlOf(name, '1'), { content: name }, size);
    expect(allPages(data, { sort: 'size' })).toEqual([urlOf('a', '1'), urlOf('b', '1')]);
    data.setBlob(digestOf('a'), 9);
    expect(allPages(data, { sort: 'size' })).toEqual([urlOf('b', '1'), urlOf('a', '1')]);
    expect(catalogOf(data).state).toMatchObject({ blobs: 2, size: 14 });
    expect(data.refused['blob-missing']).toBe(0);
    data.removeBlobs([data.blobOf(digestOf('a'))]);
    expect(catalogOf(data).state).toMatchObject({ blobs: 1, size: 5 });
    expect(data.refused['blob-missing']).toBe(1);
    data.put(keyOfSoftwareUrl(urlOf('a', '1')), [], new Map());
    expect(data.refused['blob-missing']).toBe(0);
    expect(data.blobOf(digestOf('a'))).toBe(-1);
  });

  it('keeps a URL with any characters', () => {
    const data = new CatalogData();
    const url = `https://host/\0\u202eé<script>${'x'.repeat(5000)}/software.cfg`;
    const key = putRelease(data, url);
    expect(catalogOf(data).release(key)?.url).toBe(url);
    expect(allPages(data, { text: '<SCRIPT>' })).toEqual([url]);
  });

  it('is damaged: it is counted, not listed', () => {
    const data = new CatalogData();
    data.put(
      parseKey('pypi:a=1'),
      [{ digest: digestOf('x'), stored: undefined, signer: undefined }],
      new Map(),
    );
    expect(catalogOf(data).state).toMatchObject({ entries: 1, releases: 0, sources: 0 });
    expect(data.refused.damaged).toBe(1);
    expect(data.hasExactly(data.keyOf(parseKey('pypi:a=1')), [digestOf('x')])).toBe(false);
  });
});

describe('the parts', () => {
  it('BytesTable finds what is in it, and nothing else', () => {
    const table = new BytesTable(64);
    const rows = Array.from({ length: 20_000 }, (_, index) => Buffer.from(digestOf(`${index}`), 'hex'));
    const numbers = rows.map((row) => table.add(row));
    for (const [index, row] of rows.entries()) if (index % 3 === 0) table.remove(table.find(row));
    for (const [index, row] of rows.entries())
      expect(table.find(row)).toBe(index % 3 === 0 ? -1 : numbers[index]);
    const found: number[] = [];
    const word = digestOf('7').slice(31, 60);
    table.search(word, (row) => found.push(row));
    expect(found).toEqual([numbers[7]]);
  });

  it('TextPages gives back the memory of what was removed', () => {
    const texts = new TextPages();
    const added = Array.from({ length: 5000 }, (_, index) =>
      texts.add([`text ${index} ${'y'.repeat(100)}`, 'Ä'], index),
    );
    for (const [index, text] of added.entries()) if (index % 10 !== 0) texts.remove(text);
    for (const [index, text] of added.entries())
      if (index % 10 === 0) expect(texts.fields(text, 2)).toEqual([`text ${index} ${'y'.repeat(100)}`, 'Ä']);
    const owners: number[] = [];
    texts.search('ä', (owner) => owners.push(owner));
    expect(owners.sort((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, index) => index * 10));
  });

  it('SortedList is as a sorted array', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(9999), { maxLength: 3000, minLength: 1500 }), (items) => {
        const list = new SortedList((a, b) => a - b);
        for (const item of items) list.add(item);
        for (const item of items.slice(0, 500)) list.remove(item);
        const left = items.slice(500).sort((a, b) => a - b);
        const on: number[] = [];
        list.walk(false, (item) => on.push(item) > 0);
        expect(on).toEqual(left);
        const middle = left[700] ?? 0;
        const back: number[] = [];
        list.walk(
          true,
          (item) => back.push(item) > 0,
          (item) => item - middle,
        );
        expect(back).toEqual(left.filter((item) => item < middle).reverse());
      }),
      { numRuns: 5 },
    );
  });
});
