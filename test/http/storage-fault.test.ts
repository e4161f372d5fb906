import { mkdir, readdir, rename, rm, symlink, truncate, unlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl, parseKey, type Key } from '../../src/cache/key.ts';
import { blobName, entriesPrefix } from '../../src/cache/layout.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { StorageObserver } from './storage-observer.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

async function start(options?: HttpServerOptions): Promise<HttpServer> {
  const server = await startHttpServer(options);
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** A fault of ours: a 5xx that tells the client an id to ask for, and the log the rest. */
async function expectFault(server: HttpServer, target: string): Promise<RawResponse> {
  const known = server.failures.length;
  const response = await ask(server, target);
  expect(response.status).toBeGreaterThanOrEqual(500);
  expect(headerOf(response, 'Content-Type')).toMatch(/^text\/plain/);
  const text = response.body.toString();
  expect(text).not.toContain(dirname(server.root));
  expect(text).not.toMatch(/store|E[A-Z]{3,}|\bat .*:\d+/);
  const [failure] = server.failures.slice(known);
  expect(failure?.error).toBeInstanceOf(CacheError);
  expect(text).toContain(`request ${failure?.requestId ?? 'without id'}`);
  // HEAD must not say otherwise.
  expect((await ask(server, target, { method: 'HEAD' })).status).toBe(response.status);
  return response;
}

function placeOf(server: HttpServer, digest: Digest): string {
  return join(server.root, blobName(digest));
}

/** Puts a file where an entry of the key should be. */
async function putEntryFile(server: HttpServer, key: Key, content: string): Promise<string> {
  const path = join(server.root, entriesPrefix(key), digestOf(content));
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

describe('a blob', () => {
  it('is a fault, not missing, when a folder stands in its place', async () => {
    const server = await start();
    const digest = digestOf('folder');
    await mkdir(placeOf(server, digest), { recursive: true });
    await expectFault(server, `/bcache/${digest}`);
  });

  it.each(['opened', 'read'])('is a fault for HEAD, too, when it can not be %s', async (what) => {
    const fault = new CacheError('storage', 'EIO: store');
    const server = await start({
      wrapStorage: (storage) => ({
        ...storage,
        open: async (name) => {
          if (what === 'opened') throw fault;
          const object = await storage.open(name);
          return object && { ...object, read: () => Promise.reject(fault), close: () => object.close() };
        },
      }),
    });
    const digest = await server.addBlob('content');
    const head = () => ask(server, `/bcache/${digest}`, { method: 'HEAD' });
    expect([(await head()).status, (await head()).status]).toEqual([500, 500]);
    await expectFault(server, `/bcache/${digest}`);
  });

  it('is a fault when a link stands in its place, wherever it leads', async () => {
    const server = await start();
    const secret = join(dirname(server.root), 'secret');
    await writeFile(secret, 'TOP-SECRET');
    const digest = await server.addBlob('TOP-SECRET');
    await unlink(placeOf(server, digest));
    await symlink(secret, placeOf(server, digest));
    const response = await expectFault(server, `/bcache/${digest}`);
    expect(response.body.toString()).not.toContain('TOP-SECRET');
  });

  it('is a fault when the disk fails at its first byte', async () => {
    const observer = new StorageObserver();
    const server = await start({ wrapStorage: observer.wrap });
    const digest = await server.addBlob('content');
    observer.beforeRead = () => Promise.reject(new CacheError('storage', `can't read ${server.root}: EIO`));
    const response = await ask(server, `/bcache/${digest}`);
    expect(response.status).toBeGreaterThanOrEqual(500);
    expect(response.body.toString()).not.toContain(server.root);
    expect(observer.openObjects).toBe(0);
  });

  it('breaks the connection when the disk fails in the middle, so that nobody takes a part for the whole', async () => {
    const observer = new StorageObserver();
    const server = await start({ wrapStorage: observer.wrap });
    const digest = await server.addBlob(Buffer.alloc(3_000_000));
    observer.beforeRead = (position) =>
      position < 1_000_000 ? Promise.resolve() : Promise.reject(new CacheError('storage', 'EIO'));
    await expect(ask(server, `/bcache/${digest}`)).rejects.toThrow(/ended after|ECONNRESET/);
    await expect.poll(() => server.lines.at(-1)).toMatchObject({ status: 200, aborted: true });
    expect(server.failures).toHaveLength(1);
    expect(observer.openObjects).toBe(0);
  });

  it('breaks the connection when it is shorter than it was when it was opened', async () => {
    const server = await start();
    const digest = await server.addSparseBlob(64 * 1024 * 1024);
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${digest}`);
    expect(headerOf(await connection.head(), 'Content-Length')).toBe(String(64 * 1024 * 1024));
    await truncate(placeOf(server, digest), 1024 * 1024);
    await expect(connection.discard(64 * 1024 * 1024)).rejects.toThrow(/too early|ECONNRESET/);
    await expect.poll(() => server.failures.length).toBe(1);
  });

  it('is sent whole when it is removed meanwhile', async () => {
    const server = await start();
    const size = 64 * 1024 * 1024;
    const digest = await server.addSparseBlob(size);
    const connection = await RawConnection.open(server);
    connection.request(`/bcache/${digest}`, { headers: { Connection: 'close' } });
    await connection.head();
    expect(await server.blobs.remove(digest)).toBe(true);
    await connection.discard(size);
    expect(await connection.rest()).toHaveLength(0);
    expect((await ask(server, `/bcache/${digest}`)).status).toBe(404);
  });
});

describe('an entry that is damaged', () => {
  it.each([
    ['nothing', ''],
    ['cut-off JSON', '{"received":"2026-01-01T00:00:00.000Z","entry":["{'],
    ['no entry', '{"received":"2026-01-01T00:00:00.000Z"}'],
    ['no date', '{"entry":["{}",""]}'],
    ['other JSON', '[]'],
    ['no text', '\u0000\ufffd'],
    ['an entry of another name', storedText(membersOf(RAPID_CDN))],
  ])('is a fault, not missing: %s', async (_what, content) => {
    const server = await start();
    await putEntryFile(server, KEY, content);
    await expectFault(server, `/bdir/${KEY}`);
  });

  it('is a fault when it belongs under another key', async () => {
    const server = await start();
    const other = 'https://lab.nexedi.com/other/software.cfg';
    const entry = unsignedEntry(membersOf(other));
    await server.directory.add(keyOfSoftwareUrl(other), entry);
    await rename(
      join(server.root, entriesPrefix(keyOfSoftwareUrl(other))),
      join(server.root, entriesPrefix(KEY)),
    );
    await expectFault(server, `/bdir/${KEY}`);
  });

  it('is a fault when it is endless, and is not read', async () => {
    const observer = new StorageObserver();
    const server = await start({ wrapStorage: observer.wrap });
    const path = await putEntryFile(server, KEY, 'x');
    await truncate(path, 2 ** 40);
    await expectFault(server, `/bdir/${KEY}`);
    expect(observer.bytesRead).toBe(0);
  });

  it('is a fault when a folder stands in its place', async () => {
    const server = await start();
    await mkdir(join(server.root, entriesPrefix(KEY), digestOf('x')), { recursive: true });
    await expectFault(server, `/bdir/${KEY}`);
  });

  it('is left out, and told of, where the key has others', async () => {
    const server = await start();
    const entry = unsignedEntry(membersOf(RAPID_CDN));
    await server.directory.add(KEY, entry);
    const path = await putEntryFile(server, KEY, 'damaged');
    const response = await ask(server, `/bdir/${KEY}`);
    expect(response.status).toBe(200);
    expect(JSON.parse(response.body.toString())).toEqual([entry.pair]);
    expect(server.damages).toHaveLength(1);
    expect(server.damages[0]).toContain(path.split('/').at(-1));
  });
});

describe('a key', () => {
  it('is a fault when a file stands in place of its folder', async () => {
    const server = await start();
    const path = join(server.root, entriesPrefix(KEY));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path.slice(0, -1), 'x');
    await expectFault(server, `/bdir/${KEY}`);
  });
});

describe('a store', () => {
  it('is a fault for all that is asked when it vanished, until it is back', async () => {
    const server = await start();
    const digest = await server.addBlob('content');
    await server.directory.add(KEY, unsignedEntry(membersOf(RAPID_CDN)));
    await rename(server.root, `${server.root}.away`);
    for (const target of [`/bcache/${digest}`, `/bdir/${KEY}`, `/bdir/${parseKey('pypi:a=1')}`])
      await expectFault(server, target);
    await rename(`${server.root}.away`, server.root);
    expect((await ask(server, `/bcache/${digest}`)).body.toString()).toBe('content');
    expect((await ask(server, `/bdir/${KEY}`)).status).toBe(200);
  });

  it('is a fault when its disk was unplugged and left an empty folder', async () => {
    const server = await start();
    const digest = await server.addBlob('content');
    for (const name of await readdir(server.root)) await rm(join(server.root, name), { recursive: true });
    for (const target of [`/bcache/${digest}`, `/bdir/${KEY}`]) await expectFault(server, target);
  });

  it('is a fault when a file stands in its place', async () => {
    const server = await start();
    await rm(server.root, { recursive: true });
    await writeFile(server.root, 'x');
    for (const target of [`/bcache/${digestOf('x')}`, `/bdir/${KEY}`]) await expectFault(server, target);
  });
});

function storedText(members: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ received: '2026-01-01T00:00:00.000Z', entry: unsignedEntry(members).pair });
}
