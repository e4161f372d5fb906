import { appendFile, cp, mkdir, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../../src/cache/digest.ts';
import { CacheError } from '../../../src/cache/errors.ts';
import { parseKey, type Key } from '../../../src/cache/key.ts';
import { blobName, entriesPrefix } from '../../../src/cache/layout.ts';
import type { ObjectStorage } from '../../../src/cache/object-storage.ts';
import type { Signer } from '../../../src/cache/signature.ts';
import { createStore, type Store } from '../../../src/cache/store.ts';
import { createStoreIndex, type StoreIndex } from '../../../src/operations/catalog/store-index.ts';
import { createTestSigner } from '../../http/test-signer.ts';
import { addBlob, addRelease, keyOf, makeStore, trusting, type TestStore } from '../test-store.ts';

const WHO = { user: 'root', host: 'master' };
const PYPI = parseKey('pypi:a=1');
const urlOf = (number: number): string => `https://host/slapos/raw/1.0.${number}/software/kvm/software.cfg`;

let signer: Signer;
let stranger: Signer;

beforeAll(async () => {
  signer = await createTestSigner();
  stranger = await createTestSigner('stranger');
});

interface Indexed {
  readonly index: StoreIndex;
  readonly faults: string[];
}

/** The index of a store as another process has it: `store` knows nothing of it. */
async function follow({ root }: TestStore, limit?: number): Promise<Indexed> {
  return begin(await makeStore(root), limit);
}

function begin(store: Store, limit?: number): Indexed {
  const faults: string[] = [];
  const index = createStoreIndex(store, {
    trusted: trusting(signer),
    ...(limit === undefined ? {} : { limit }),
    onFault: (message) => faults.push(message),
  });
  onTestFinished(() => index.stop());
  index.start();
  return { index, faults };
}

const isComplete = ({ index }: Indexed) => expect.poll(() => index.catalog.state.isComplete).toBe(true);
const urlsIn = ({ index }: Indexed): readonly string[] =>
  index.catalog.releases().items.map(({ url }) => url);

describe('the index', () => {
  it('has all that the store has, and says so', async () => {
    const store = await makeStore();
    for (const number of [2, 1])
      await addRelease(store, signer, { url: urlOf(number), content: `${number}` });
    await addBlob(store.blobs, 'unnamed');
    await store.directory.add(
      PYPI,
      signer.sign(JSON.stringify({ sha512: digestOf('1'), basename: 'a-1.tgz' })),
    );
    const indexed = await follow(store);
    expect(indexed.index.catalog.state.isComplete).toBe(false);
    await isComplete(indexed);
    expect(urlsIn(indexed)).toEqual([urlOf(1), urlOf(2)]);
    expect(indexed.index.catalog.sources().items).toMatchObject([
      { key: PYPI, entries: [{ basename: 'a-1.tgz' }] },
    ]);
    expect(indexed.index.catalog.state).toMatchObject({
      ...{ releases: 2, sources: 1, entries: 3, blobs: 3, size: 9, fault: undefined },
    });
    expect(indexed.faults).toEqual([]);
  });

  it('counts what nodes refuse, and goes on', async () => {
    const store = await makeStore();
    await addRelease(store, stranger, { url: urlOf(1), content: 'x' });
    const { digest } = await addRelease(store, signer, { url: urlOf(2), content: 'y' });
    await appendFile(join(store.root, entriesPrefix(keyOf({ url: urlOf(2) })), digest), 'x');
    await store.directory.add(PYPI, signer.sign(JSON.stringify({ sha512: digestOf('missing') })));
    const indexed = await follow(store);
    await isComplete(indexed);
    expect(indexed.index.refused()).toEqual({ untrusted: 1, damaged: 1, 'blob-missing': 1 });
    expect(urlsIn(indexed)).toEqual([urlOf(1)]);
  });

  it('takes what is no file in the place of an entry for a damaged entry', async () => {
    const store = await makeStore();
    for (const number of [1, 2])
      await addRelease(store, signer, { url: urlOf(number), content: `${number}` });
    const [folder, link] = [join(store.root, entriesPrefix(PYPI)), entriesPrefix(parseKey('pypi:b=1'))];
    await mkdir(join(folder, digestOf('a')), { recursive: true });
    await mkdir(join(store.root, link));
    await symlink('nowhere', join(store.root, link, digestOf('b')));
    const indexed = await follow(store);
    await isComplete(indexed);
    expect(indexed.index.refused()).toMatchObject({ damaged: 2 });
    expect(urlsIn(indexed)).toEqual([urlOf(1), urlOf(2)]);
  });

  it('has the other releases while a key cannot be read, says so once, and is not complete', async () => {
    const store = await makeStore();
    for (const number of [1, 2, 3, 4, 5])
      await addRelease(store, signer, { url: urlOf(number), content: `${number}` });
    const prefix = entriesPrefix(keyOf({ url: urlOf(3) }));
    let isDenied = true;
    const open: ObjectStorage['open'] = (name) =>
      isDenied && name.startsWith(prefix)
        ? Promise.reject(new CacheError('storage', `can't open ${name}: permission denied (EACCES)`))
        : store.storage.open(name);
    const indexed = begin(createStore({ ...store, storage: { ...store.storage, open } }, { who: WHO }));
    await expect.poll(() => urlsIn(indexed)).toEqual([1, 2, 4, 5].map(urlOf));
    await expect.poll(() => indexed.faults).toEqual([expect.stringContaining('permission denied (EACCES)')]);
    expect(indexed.index.catalog.state.isComplete).toBe(false);
    isDenied = false;
    await isComplete(indexed);
    expect(urlsIn(indexed)).toHaveLength(5);
    expect(indexed.faults).toHaveLength(1);
  });

  it('gives up above its limit, and says why', async () => {
    const store = await makeStore();
    for (const number of [1, 2, 3]) await addRelease(store, signer, { url: urlOf(number), content: 'x' });
    const indexed = await follow(store, 2);
    await expect.poll(() => indexed.faults).toHaveLength(1);
    expect(indexed.index.catalog.state).toMatchObject({
      ...{ fault: 'there is no index: the store has more than 2 entries or blobs' },
      ...{ isComplete: false, entries: 0 },
    });
    await addRelease(indexed.index.store, signer, { url: urlOf(4), content: 'x' });
    expect(urlsIn(indexed)).toEqual([]);
  });

  it('has a change of its own process at once', async () => {
    const store = await makeStore();
    const indexed = await follow(store);
    await isComplete(indexed);
    const { version } = indexed.index.catalog.state;
    const entry = await addRelease(indexed.index.store, signer, { url: urlOf(1), content: 'x' });
    expect(urlsIn(indexed)).toEqual([urlOf(1)]);
    expect(indexed.index.catalog.state.version).not.toBe(version);
    await indexed.index.store.blobs.remove(digestOf('x'));
    expect(indexed.index.catalog.release(keyOf({ url: urlOf(1) }))?.builds[0]?.size).toBeUndefined();
    await indexed.index.store.directory.remove(keyOf({ url: urlOf(1) }), entry.digest);
    expect(urlsIn(indexed)).toEqual([]);
  });

  it('goes on after the disk was away', async () => {
    const store = await makeStore();
    await addRelease(store, signer, { url: urlOf(1), content: 'x' });
    let isAway = true;
    const away = (storage: ObjectStorage): ObjectStorage => ({
      ...storage,
      list: (prefix) => {
        if (isAway) throw new Error('the disk is away');
        return storage.list(prefix);
      },
    });
    const indexed = begin(createStore({ ...store, storage: away(store.storage) }, { who: WHO }));
    await expect.poll(() => indexed.faults).toEqual([expect.stringContaining('the disk is away')]);
    isAway = false;
    await isComplete(indexed);
    expect(urlsIn(indexed)).toEqual([urlOf(1)]);
    expect(indexed.faults).toHaveLength(1);
  });
});

/** A store whose second listing never comes to an end, as if it was large: only the other ways can tell a change in time. */
function slowly(store: Store): Store {
  const { storage } = store;
  let listings = 0;
  const slow: ObjectStorage = {
    ...storage,
    async *list(prefix) {
      const names: string[] = [];
      for await (const name of storage.list(prefix)) {
        names.push(name);
        yield name;
      }
      if (prefix !== 'bdir/' || ++listings === 1) return;
      for (;;) {
        await sleep(20);
        yield* names;
      }
    },
  };
  return createStore({ ...store, storage: slow }, { who: WHO });
}

describe.each(['small', 'large'])('changes by others to a %s store', (size) => {
  const start = async (): Promise<{ store: TestStore; indexed: Indexed }> => {
    const store = await makeStore();
    for (const number of [0, 1])
      await addRelease(store, signer, { url: urlOf(number), content: `${number}` });
    const opened = await makeStore(store.root);
    const indexed = begin(size === 'small' ? opened : slowly(opened));
    await isComplete(indexed);
    expect(urlsIn(indexed)).toEqual([urlOf(0), urlOf(1)]);
    return { store, indexed };
  };
  const record = (store: Store, key: Key, content: string, action: 'import' | 'remove' = 'import') =>
    store.log.record({ action, key, sha512: digestOf(content) });

  it('an entry with its blob comes, with a record', async () => {
    const { store, indexed } = await start();
    await addRelease(store, signer, { url: urlOf(2), content: 'two' });
    await record(store, keyOf({ url: urlOf(2) }), 'two');
    await expect.poll(() => urlsIn(indexed)).toEqual([urlOf(0), urlOf(1), urlOf(2)]);
    expect(indexed.index.catalog.release(keyOf({ url: urlOf(2) }))?.builds[0]?.size).toBe(3);
  });

  it('another entry of a key comes, with a record', async () => {
    const { store, indexed } = await start();
    await addRelease(store, signer, { url: urlOf(1), content: 'new' });
    await record(store, keyOf({ url: urlOf(1) }), 'new');
    const newest = () => indexed.index.catalog.release(keyOf({ url: urlOf(1) }))?.builds[0]?.sha512;
    await expect.poll(newest).toBe(digestOf('new'));
  });

  it('a file is copied by hand', async () => {
    const { store, indexed } = await start();
    const other = await makeStore();
    await addRelease(other, signer, { url: urlOf(3), content: 'three' });
    const folder = entriesPrefix(keyOf({ url: urlOf(3) }));
    await cp(join(other.root, folder), join(store.root, folder), { recursive: true });
    await expect.poll(() => urlsIn(indexed)).toEqual([urlOf(0), urlOf(1), urlOf(3)]);
  });

  it('a blob is copied and removed by hand', async () => {
    const { store, indexed } = await start();
    const [path, key] = [join(store.root, blobName(digestOf('1'))), keyOf({ url: urlOf(1) })];
    const size = () => indexed.index.catalog.release(key)?.builds[0]?.size;
    await unlink(path);
    await expect.poll(size).toBeUndefined();
    await writeFile(path, '1');
    await expect.poll(size).toBe(1);
  });

  it('an entry is removed, by a command and by hand', async () => {
    const { store, indexed } = await start();
    for (const number of [2, 3]) {
      await addRelease(store, signer, { url: urlOf(number), content: 'x' });
      await expect.poll(() => urlsIn(indexed)).toHaveLength(number + 1);
    }
    const [key2, key3] = [keyOf({ url: urlOf(2) }), keyOf({ url: urlOf(3) })];
    const [digest] = await store.directory.digests(key2);
    await store.directory.remove(key2, digest ?? digestOf(''));
    await record(store, key2, 'x', 'remove');
    await rm(join(store.root, entriesPrefix(key3)), { recursive: true });
    await expect.poll(() => urlsIn(indexed)).toEqual([urlOf(0), urlOf(1)]);
  });
});

it('a listing finds what nothing else tells: a blob and an entry that are copied and removed', async () => {
  const store = await makeStore();
  await addRelease(store, signer, { url: urlOf(1), content: 'one' });
  const indexed = await follow(store);
  await isComplete(indexed);
  const other = await makeStore();
  const { digest } = await addRelease(other, signer, { url: urlOf(1), content: 'other' });
  const entry = entriesPrefix(keyOf({ url: urlOf(1) })) + digest;
  await mkdir(dirname(join(store.root, entry)), { recursive: true });
  await cp(join(other.root, entry), join(store.root, entry));
  await cp(join(other.root, blobName(digestOf('other'))), join(store.root, blobName(digestOf('other'))));
  await expect.poll(() => indexed.index.catalog.state).toMatchObject({ entries: 2, blobs: 2, size: 8 });
  await unlink(join(store.root, entry));
  await unlink(join(store.root, blobName(digestOf('one'))));
  await expect.poll(() => indexed.index.catalog.state).toMatchObject({ entries: 1, blobs: 1, size: 5 });
  expect(indexed.index.refused()['blob-missing']).toBe(1);
});

it('a store that does not move is read once', async () => {
  const store = await makeStore();
  await addRelease(store, signer, { url: urlOf(1), content: 'one' });
  const opened: string[] = [];
  const { storage } = store;
  const watched: ObjectStorage = {
    ...storage,
    open: (name) => {
      opened.push(name);
      return storage.open(name);
    },
  };
  const indexed = begin(createStore({ ...store, storage: watched }, { who: WHO }));
  await isComplete(indexed);
  const { length } = opened;
  const { version } = indexed.index.catalog.state;
  await addRelease(store, signer, { url: urlOf(2), content: 'two' });
  await expect.poll(() => urlsIn(indexed)).toHaveLength(2);
  expect(opened.slice(length).filter((name) => name.startsWith('bdir/'))).toHaveLength(1);
  expect(indexed.index.catalog.state.version).not.toBe(version);
});
