import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createBlobs } from '../../src/cache/blobs.ts';
import type { Digest } from '../../src/cache/digest.ts';
import { createDirectory } from '../../src/cache/directory.ts';
import { parseKey } from '../../src/cache/key.ts';
import { blobName, entriesPrefix } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ask } from './raw-connection.ts';
import { StorageObserver } from './storage-observer.ts';
import { createTestSigner } from './test-signer.ts';

const KEY = parseKey('pypi:written-by-others=1');
/** How far the server may be behind what others do to the store, in milliseconds. */
const PROMISED = 1000;

let signer: Signer;
let observer: StorageObserver;
let server: HttpServer;
/** The same store, as another process has it. */
let others: ObjectStorage;

beforeAll(async () => {
  signer = await createTestSigner();
});

beforeEach(async () => {
  observer = new StorageObserver();
  server = await startHttpServer({ wrapStorage: observer.wrap });
  others = await openStorage(server.root, { write: true });
  // The clock that tells how old what is remembered is: it stands still until a test moves it.
  vi.useFakeTimers({ toFake: ['performance'] });
});

afterEach(async () => {
  vi.useRealTimers();
  await server.stop();
});

function entryOf(number: number): ReturnType<Signer['sign']> {
  return signer.sign(JSON.stringify({ sha512: number.toString(16).padStart(128, '0') }));
}

async function addEntry(storage: ObjectStorage, number: number): Promise<void> {
  await createDirectory(storage).add(KEY, entryOf(number));
}

/** How many entries the server lists; 0 where it answers 404. */
async function listed(): Promise<number> {
  const { status, body } = await ask(server, `/bdir/${KEY}`);
  return status === 404 ? 0 : (JSON.parse(body.toString()) as unknown[]).length;
}

describe('the entries of a key', () => {
  it('are not read again within the time that was promised, when nothing moved', async () => {
    await addEntry(others, 1);
    expect(await listed()).toBe(1);
    const { length } = observer.names;
    expect(await listed()).toBe(1);
    expect(observer.names).toHaveLength(length);
  });

  it('have what another process added, a second later', async () => {
    await addEntry(others, 1);
    expect(await listed()).toBe(1);
    await addEntry(others, 2);
    vi.advanceTimersByTime(PROMISED);
    expect(await listed()).toBe(2);
  });

  it('have what was copied into the store, a second later', async () => {
    const elsewhere = await temporaryFolder();
    await addEntry(await openStorage(elsewhere, { write: true }), 2);
    await addEntry(others, 1);
    expect(await listed()).toBe(1);
    const folder = entriesPrefix(KEY);
    await cp(join(elsewhere, folder), join(server.root, folder), { recursive: true });
    vi.advanceTimersByTime(PROMISED);
    expect(await listed()).toBe(2);
  });

  it('are without what another process removed, a second later', async () => {
    for (const number of [1, 2]) await addEntry(others, number);
    expect(await listed()).toBe(2);
    for (const left of [1, 0]) {
      await createDirectory(others).remove(KEY, entryOf(left + 1).digest);
      vi.advanceTimersByTime(PROMISED);
      expect(await listed()).toBe(left);
    }
  });

  it('are never hidden by a miss a moment before', async () => {
    expect(await listed()).toBe(0);
    await addEntry(others, 1);
    expect(await listed()).toBe(1);
  });

  it('are never hidden by a miss after all of them had been removed', async () => {
    await addEntry(others, 1);
    expect(await listed()).toBe(1);
    await createDirectory(others).remove(KEY, entryOf(1).digest);
    vi.advanceTimersByTime(PROMISED);
    expect(await listed()).toBe(0);
    await addEntry(others, 2);
    expect(await listed()).toBe(1);
  });
});

describe('a blob', () => {
  const CONTENT = 'written by another process';

  async function addBlob(storage: ObjectStorage): Promise<Digest> {
    const writer = await createBlobs(storage).create();
    onTestFinished(() => writer.abort());
    await writer.write([Buffer.from(CONTENT)]);
    return (await writer.commit()).digest;
  }

  const head = async (digest: Digest): Promise<number> =>
    (await ask(server, `/bcache/${digest}`, { method: 'HEAD' })).status;

  it('is not looked at again within the time that was promised', async () => {
    const digest = await addBlob(others);
    expect(await head(digest)).toBe(200);
    const { length } = observer.names;
    expect(await head(digest)).toBe(200);
    expect(observer.names).toHaveLength(length);
  });

  it('is never hidden by a miss a moment before', async () => {
    const elsewhere = await temporaryFolder();
    const digest = await addBlob(await openStorage(elsewhere, { write: true }));
    expect(await head(digest)).toBe(404);
    await cp(join(elsewhere, blobName(digest)), join(server.root, blobName(digest)));
    expect(await head(digest)).toBe(200);
  });

  it('is gone when another process has removed it, a second later', async () => {
    const digest = await addBlob(others);
    expect(await head(digest)).toBe(200);
    await others.remove(blobName(digest));
    vi.advanceTimersByTime(PROMISED);
    expect(await head(digest)).toBe(404);
  });
});
