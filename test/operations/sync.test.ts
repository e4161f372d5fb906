import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { parseKey } from '../../src/cache/key.ts';
import { entriesPrefix } from '../../src/cache/layout.ts';
import type { Signer } from '../../src/cache/signature.ts';
import type { Source } from '../../src/cache/source.ts';
import { syncToServer, syncToStore, type SyncOptions, type SyncResult } from '../../src/operations/sync.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { collect } from '../fixtures/collect.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { temporaryFiles } from '../http/upload-client.ts';
import { upstreamOf } from '../upstream/upstream-of.ts';
import {
  addRelease,
  BOOKWORM,
  keyOf,
  makeStore,
  signRelease,
  trusting,
  type TestRelease,
  type TestStore,
} from './test-store.ts';

const KEY = keyOf();
const OTHER = 'https://example.com/other/software.cfg';

let signer: Signer;
let second: Signer;
let stranger: Signer;
let from: TestStore;

beforeAll(async () => {
  signer = await createTestSigner('first');
  second = await createTestSigner('second');
  stranger = await createTestSigner('stranger');
});

beforeEach(async () => {
  from = await makeStore();
});

const options = (): SyncOptions => ({ trusted: trusting(signer, second) });
const at = (seconds: number): Date => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds));

function outcomesOf(results: readonly SyncResult[]): readonly string[] {
  return results.map(({ outcome }) => outcome);
}

describe('a sync to a store', () => {
  let to: TestStore;

  beforeEach(async () => {
    to = await makeStore();
  });

  const sync = (source: Source = from.source, more: Partial<SyncOptions> = {}) =>
    collect(syncToStore(source, to, { ...options(), ...more }));

  it('goes on where the disk of the source has lost a blob, or the entries of a key', async () => {
    const third = 'https://example.com/third/software.cfg';
    for (const [url, content] of [
      [RAPID_CDN, 'good'],
      [OTHER, 'lost entries'],
      [third, 'lost blob'],
    ] as const)
      await addRelease(from, signer, { content, url });
    const cause = Object.assign(new Error('i/o error'), { code: 'EIO' });
    const failing = new CacheError('damaged', "can't read: the disk fails (EIO)", { cause });
    const source: Source = {
      ...from.source,
      entries: (key) => (key === keyOf({ url: OTHER }) ? Promise.reject(failing) : from.source.entries(key)),
      openBlob: async (digest) => {
        const blob = await from.source.openBlob(digest);
        if (blob === undefined || digest !== digestOf('lost blob')) return blob;
        return {
          ...blob,
          pieces: (async function* () {
            yield Buffer.from('lost');
            await Promise.reject(failing);
          })(),
        };
      },
    };
    const results = await sync(source);
    expect([...outcomesOf(results)].sort()).toEqual(['copied', 'refused', 'unreadable']);
    expect(results.filter(({ outcome }) => outcome !== 'copied')).toEqual(
      Array(2).fill(expect.objectContaining({ reason: failing.message })),
    );
    expect(await temporaryFiles(to.root)).toEqual([]);
    // That of the target ends it.
    const broken = new CacheError('storage', "can't write: the disk fails (EIO)", { cause });
    const full = { ...to, blobs: { ...to.blobs, create: () => Promise.reject(broken) } };
    await expectCacheError(collect(syncToStore(source, full, options())), 'storage');
  });

  it('brings all that is missing, as it is, and records it; the second time it does nothing', async () => {
    await addRelease(from, signer, { content: 'one' }, at(1));
    await addRelease(from, second, { content: 'two' }, at(2));
    await addRelease(from, signer, { content: 'other', url: OTHER }, at(3));
    await addRelease(to, signer, { content: 'own', os: BOOKWORM }, at(4));
    expect(outcomesOf(await sync())).toEqual(['copied', 'copied', 'copied']);
    const contents = (await to.directory.entries(KEY)).map(({ sha512 }) => sha512);
    expect(contents).toEqual(['own', 'two', 'one'].map(digestOf));
    expect(await to.directory.entries(keyOf({ url: OTHER }))).toEqual(
      await from.directory.entries(keyOf({ url: OTHER })),
    );
    expect((await recordsIn(to.root)).map(({ action }) => action)).toEqual(['sync', 'sync', 'sync']);
    const before = await contentsOf(to.root);
    expect(outcomesOf(await sync())).toEqual(['unchanged', 'unchanged', 'unchanged']);
    expect(await contentsOf(to.root)).toEqual(before);
  });

  it('reads no blob the second time', async () => {
    await addRelease(from, signer, { content: 'one' });
    await sync();
    const silent: Source = { ...from.source, openBlob: () => Promise.reject(new Error('read')) };
    expect(outcomesOf(await sync(silent))).toEqual(['unchanged']);
  });

  it('refuses what is not to be trusted, and goes on', async () => {
    await addRelease(from, stranger, { content: 'bad' });
    await addRelease(from, signer, { content: 'good' });
    expect(outcomesOf(await sync()).toSorted()).toEqual(['copied', 'refused']);
    expect((await to.directory.entries(KEY)).map(({ sha512 }) => sha512)).toEqual([digestOf('good')]);
  });

  it('tells what it would do', async () => {
    await addRelease(from, signer, { content: 'one' });
    const before = await contentsOf(to.root);
    expect(outcomesOf(await sync(from.source, { dryRun: true }))).toEqual(['to-copy']);
    expect(await contentsOf(to.root)).toEqual(before);
  });

  it('tells of which entry bytes are copied', async () => {
    await addRelease(from, signer, { content: 'one' });
    const progress: unknown[] = [];
    await sync(from.source, {
      onProgress: ({ softwareUrl }, bytes, size) => progress.push([softwareUrl, bytes, size]),
    });
    expect(progress).toEqual([[expect.stringContaining('rapid-cdn'), 3, 3]]);
  });

  it('passes over a key whose entries are all damaged, and says so', async () => {
    const { digest } = await addRelease(from, signer, { content: 'damaged', url: OTHER });
    const path = join(from.root, entriesPrefix(keyOf({ url: OTHER })), digest);
    await chmod(path, 0o644);
    await writeFile(path, 'damaged');
    await addRelease(from, signer, { content: 'good' });
    const results = await sync();
    expect(outcomesOf(results).toSorted()).toEqual(['copied', 'unreadable']);
    expect(results.find(({ outcome }) => outcome === 'unreadable')).toMatchObject({
      key: keyOf({ url: OTHER }),
      reason: expect.stringContaining('is damaged') as string,
    });
  });

  it('passes over keys that another cache fails to tell, but not over many in a row', async () => {
    const keys = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => parseKey(`private:${name}`));
    const failing = (isFailing: (index: number) => boolean): Source => ({
      ...from.source,
      keys: async function* () {
        for (const key of keys) yield await Promise.resolve(key);
      },
      entries: (key) =>
        isFailing(keys.indexOf(key))
          ? Promise.reject(new CacheError('unavailable', 'answered 500'))
          : Promise.resolve([]),
    });
    const now = await sync(failing((index) => index % 3 !== 2));
    expect(outcomesOf(now)).toEqual(['unreadable', 'unreadable', 'unreadable', 'unreadable']);
    await expectCacheError(sync(failing((index) => index > 1)), 'unavailable', /answered 500/);
  });

  it('ends when a store fails', async () => {
    await addRelease(from, signer, { content: 'one' });
    const failing: Source = {
      ...from.source,
      openBlob: () => Promise.reject(new CacheError('storage', 'the disk fails')),
    };
    await expectCacheError(sync(failing), 'storage', /the disk fails/);
  });

  it('from a running cache brings the same, in the same order', async () => {
    const server = await serve();
    for (const content of ['one', 'two', 'three']) await addRelease(server, signer, { content });
    await addRelease(server, signer, { content: 'other', url: OTHER });
    expect(outcomesOf(await sync(upstreamOf(server.url)))).toEqual(['copied', 'copied', 'copied', 'copied']);
    expect((await to.directory.entries(KEY)).map(({ pair }) => pair)).toEqual(
      (await server.directory.entries(KEY)).map(({ pair }) => pair),
    );
    expect(outcomesOf(await sync(upstreamOf(server.url)))).toEqual(Array(4).fill('unchanged'));
  });
});

async function serve(...uploaders: readonly Signer[]): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({
      ...usual,
      access: { anonymous: uploaders.length > 0 ? 'upload' : 'read' },
      trusted: trusting(...uploaders),
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

describe('a sync to a running cache', () => {
  let server: HttpServer;

  beforeEach(async () => {
    server = await serve(signer, second);
  });

  const sync = (more: Partial<SyncOptions> = {}, at_ = server) =>
    collect(syncToServer(from.source, upstreamOf(at_.url), { ...options(), ...more }));

  const order = async (): Promise<readonly string[]> =>
    (await server.directory.entries(KEY)).map(({ sha512 }) => sha512);

  it('uploads all that is missing, in its order; the second time it does nothing', async () => {
    for (const [index, content] of ['one', 'two', 'three'].entries())
      await addRelease(from, signer, { content }, at(index));
    await addRelease(from, second, { content: 'other', url: OTHER });
    expect(outcomesOf(await sync())).toEqual(['copied', 'copied', 'copied', 'copied']);
    expect(await order()).toEqual(['three', 'two', 'one'].map(digestOf));
    const requests = server.lines.length;
    expect(outcomesOf(await sync())).toEqual(Array(4).fill('unchanged'));
    expect(new Set(server.lines.slice(requests).map(({ method }) => method))).toEqual(
      new Set(['GET', 'HEAD']),
    );
  });

  it('leaves out what its signer made before one that only the server has', async () => {
    const made = (day: number) => ({ more: { creation_date: `2026-01-0${day}T00:00:00.000Z` } });
    await addRelease(from, signer, { content: 'old', ...made(1) });
    await addRelease(from, second, { content: 'by another', ...made(1) });
    await addRelease(server, signer, { content: 'new', ...made(2) });
    expect(outcomesOf(await sync())).toEqual(['left-out', 'copied']);
    expect(await order()).toEqual(['by another', 'new'].map(digestOf));
  });

  it('leaves out what its signer made before one that has just been uploaded, whatever times the source tells', async () => {
    const made = (day: number) => ({ more: { creation_date: `2026-01-0${day}T00:00:00.000Z` } });
    await addRelease(from, signer, { content: 'old', ...made(1) }, at(100));
    await addRelease(from, signer, { content: 'new', ...made(2) }, at(1));
    expect(outcomesOf(await sync({ dryRun: true }))).toEqual(['to-copy', 'left-out']);
    expect(outcomesOf(await sync())).toEqual(['copied', 'left-out']);
    expect(await order()).toEqual([digestOf('new')]);
  });

  it('leaves out what would overtake a newer one of its platform and signer', async () => {
    const releases: readonly (readonly [Signer, TestRelease])[] = [
      [signer, { content: 'old' }],
      [signer, { content: 'old debian', os: BOOKWORM }],
      [second, { content: 'old, by the second' }],
      [signer, { content: 'there' }],
      [signer, { content: 'new' }],
    ];
    for (const [index, [by, release]] of releases.entries()) await addRelease(from, by, release, at(index));
    await addRelease(server, signer, { content: 'there' });
    const results = await sync();
    expect(outcomesOf(results)).toEqual(['left-out', 'copied', 'copied', 'unchanged', 'copied']);
    expect(await order()).toEqual(['new', 'old, by the second', 'old debian', 'there'].map(digestOf));
    expect(await server.blobs.stat(digestOf('old'))).toBeUndefined();
    // And it stays out.
    expect(outcomesOf(await sync())).toEqual(['left-out', ...Array<string>(4).fill('unchanged')]);
  });

  it('does not upload what is not to be trusted, or has no blob', async () => {
    await addRelease(from, stranger, { content: 'bad' });
    await from.directory.add(KEY, signRelease(signer, { content: 'without blob' }));
    await addRelease(from, signer, { content: 'good' });
    expect(outcomesOf(await sync()).toSorted()).toEqual(['copied', 'refused', 'refused']);
    expect(await order()).toEqual([digestOf('good')]);
  });

  it('hears from the cache what that does not trust', async () => {
    const strict = await serve(second);
    await addRelease(from, signer, { content: 'one' }, at(1));
    await addRelease(from, second, { content: 'two' }, at(2));
    const results = await sync({}, strict);
    expect(results).toMatchObject([
      {
        outcome: 'refused',
        reason: expect.stringMatching(/answered 403 .*no trusted certificate/) as string,
      },
      { outcome: 'copied' },
    ]);
  });

  it('uploads a blob again that the cache has lost', async () => {
    await addRelease(from, signer, { content: 'one' });
    await sync();
    await server.blobs.remove(digestOf('one'));
    expect(outcomesOf(await sync())).toEqual(['copied']);
    expect((await server.blobs.stat(digestOf('one')))?.size).toBe(3);
  });

  it('tells what it would do', async () => {
    await addRelease(from, signer, { content: 'one' });
    expect(outcomesOf(await sync({ dryRun: true }))).toEqual(['to-copy']);
    expect(await order()).toEqual([]);
  });

  it('ends where nothing may be uploaded', async () => {
    await addRelease(from, signer, { content: 'one' });
    await expectCacheError(sync({}, await serve()), 'forbidden', /uploads are disabled/);
  });

  it('tells of which entry bytes are uploaded', async () => {
    await addRelease(from, signer, { content: 'one' });
    const progress: unknown[] = [];
    await sync({ onProgress: ({ softwareUrl }, bytes, size) => progress.push([softwareUrl, bytes, size]) });
    expect(progress).toEqual([[expect.stringContaining('rapid-cdn'), 3, 3]]);
  });
});
