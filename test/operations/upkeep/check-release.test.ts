import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { digestOf } from '../../../src/cache/digest.ts';
import type { VerifiedEntry } from '../../../src/cache/entry.ts';
import { parseKey } from '../../../src/cache/key.ts';
import { blobName, entriesPrefix } from '../../../src/cache/layout.ts';
import type { Platform } from '../../../src/cache/platform.ts';
import type { Signer } from '../../../src/cache/signature.ts';
import type { Source } from '../../../src/cache/source.ts';
import { checkRelease, type CheckOptions } from '../../../src/operations/upkeep/check-release.ts';
import { createUpstream } from '../../../src/upstream/client.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../../fixtures/entries.ts';
import { cacheErrorOf } from '../../fixtures/expected-error.ts';
import { startHttpServer } from '../../fixtures/http-server.ts';
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
import { flipBit } from './upkeep-store.ts';

const MACHINE: Platform = { multiarch: 'x86_64-linux-gnu', os: JAMMY };

let signer: Signer;
let stranger: Signer;
let store: TestStore;

beforeAll(async () => {
  [signer, stranger] = await Promise.all([createTestSigner(), createTestSigner('stranger')]);
});

beforeEach(async () => {
  store = await makeStore();
});

const check = (options: Partial<CheckOptions> = {}, source: Source = store.source) =>
  checkRelease(keyOf(), source, { machine: MACHINE, trusted: trusting(signer), deep: false, ...options });

async function problem(options: Partial<CheckOptions> = {}, source?: Source): Promise<string> {
  const { problem: found } = await check(options, source);
  return found === undefined ? 'none' : `${found.kind}: ${found.message}`;
}

const pathOf = (entry: VerifiedEntry) => join(store.root, entriesPrefix(keyOf()), entry.digest);

describe('a release', () => {
  it('installs when the first trusted entry that fits has its blob', async () => {
    await addRelease(store, signer, { content: 'old' });
    const chosen = await addRelease(store, signer, { content: 'right' });
    await addRelease(store, stranger, { content: 'of a stranger' });
    await addRelease(store, signer, { content: 'elsewhere', os: BOOKWORM });
    for (const deep of [false, true]) {
      expect(await check({ deep })).toEqual({
        key: keyOf(),
        problem: undefined,
        chosen: { entry: chosen.digest, platform: MACHINE, sha512: digestOf('right'), size: 5 },
        platforms: [{ multiarch: MACHINE.multiarch, os: BOOKWORM }, MACHINE],
      });
    }
    const bookworm = await check({ machine: { ...MACHINE, os: ['debian', '12.9', ''] } });
    expect(bookworm).toMatchObject({ problem: undefined, chosen: { sha512: digestOf('elsewhere') } });
  });

  it('of which nothing is known', async () => {
    expect(await problem()).toBe('no-entry: there is no entry for it');
  });

  it('for other platforms only', async () => {
    await addRelease(store, signer, { content: 'x', os: BOOKWORM });
    await store.directory.add(keyOf(), unsignedEntry(membersOf(RAPID_CDN, { os: 'unknown' })));
    expect(await problem()).toBe(
      'incompatible: there is no build for ubuntu 22.04 x86_64-linux-gnu, only for debian 12.4 x86_64-linux-gnu',
    );
  });

  it('that nobody trusted signed, or nobody at all', async () => {
    await addRelease(store, signer, { content: 'x', os: BOOKWORM });
    await store.directory.add(keyOf(), unsignedEntry(membersOf(RAPID_CDN)));
    expect(await problem()).toMatch(/^untrusted: there is a build for ubuntu .*, but it is not signed$/);
    await addRelease(store, stranger, { content: 'x' });
    expect(await problem()).toMatch(/^untrusted: .* no trusted certificate verifies its signature$/);
    expect(await problem({ trusted: trusting(stranger) })).toBe('none');
  });

  it('whose blob is missing, though an older build is whole: a node takes the newest', async () => {
    await addRelease(store, signer, { content: 'old' });
    const { sha512 } = await addRelease(store, signer, { content: 'new' });
    await store.blobs.remove(sha512);
    expect(await problem()).toBe(`blob-missing: its blob ${sha512} is not there`);
  });

  it('whose blob is damaged, which is seen by reading it', async () => {
    const { sha512 } = await addRelease(store, signer, { content: 'abcdef'.repeat(1000) });
    await flipBit(store.root, blobName(sha512));
    expect(await problem()).toBe('none');
    expect(await problem({ deep: true })).toMatch(/^blob-damaged: its blob .* 6000 bytes have the sha512 /);
  });

  it('whose blob is cut off, which is seen at once where the entry tells the size', async () => {
    const content = 'abcdef';
    const { sha512 } = await addRelease(store, signer, { content, more: { size: 6 } });
    expect(await problem()).toBe('none');
    await chmod(join(store.root, blobName(sha512)), 0o644);
    await writeFile(join(store.root, blobName(sha512)), 'abc');
    expect(await problem()).toMatch(/^blob-damaged: /);
  });

  it('is not refused because its entry tells a wrong size', async () => {
    await addRelease(store, signer, { content: 'abcdef', more: { size: 7 } });
    expect(await problem()).toBe('none');
  });

  it('whose only entry is damaged; one of several is passed over, as the server does', async () => {
    const entry = await addRelease(store, signer, { content: 'x' });
    await flipBit(store.root, entriesPrefix(keyOf()) + entry.digest);
    expect(await problem()).toMatch(/^entry-damaged: bdir\/.* is damaged/);
    await addRelease(store, signer, { content: 'y' });
    expect(await problem()).toBe('none');
    await rm(pathOf(entry));
  });
});

describe('another cache', () => {
  async function serve(): Promise<Source> {
    const server = await startHttpServer();
    onTestFinished(async () => {
      await server.stop();
    });
    await addRelease(server, signer, { content: 'abcdef' });
    served = server.root;
    return createUpstream({ directory: `${server.url}/bdir`, blobs: `${server.url}/bcache` });
  }
  let served: string;

  it('is asked, and its blob is downloaded to be hashed', async () => {
    const source = await serve();
    let bytes = 0;
    const onProgress = (more: number): void => void (bytes += more);
    expect(await problem({ deep: false, onProgress }, source)).toBe('none');
    expect(bytes).toBe(0);
    expect(await problem({ deep: true, onProgress }, source)).toBe('none');
    expect(bytes).toBe(6);
    await flipBit(served, blobName(digestOf('abcdef')));
    expect(await problem({ deep: true }, source)).toMatch(/^blob-damaged: /);
    await rm(join(served, blobName(digestOf('abcdef'))));
    // A server remembers sizes for 0.9 s.
    await vi.waitFor(async () => {
      expect(await problem({}, source)).toMatch(/^blob-missing: /);
    }, 10_000);
  });

  it('that gives an entry of another URL is not believed', async () => {
    const source = await serve();
    const foreign = signRelease(signer, { url: 'https://example.com/other', content: 'abcdef' });
    const lying: Source = { ...source, entries: () => Promise.resolve([foreign]) };
    expect(await problem({}, lying)).toMatch(/^key-mismatch: the entry does not belong under key/);
  });

  it('that does not answer is an error', async () => {
    const source = createUpstream(
      { directory: 'http://127.0.0.1:1/bdir', blobs: 'http://127.0.0.1:1/bcache' },
      { patience: { attempts: 1, firstDelay: 0 } },
    );
    expect((await cacheErrorOf(problem({}, source))).code).toBe('unavailable');
  });
});

describe('a source', () => {
  const key = parseKey('pypi:slapos.core=1.0');
  const add = async (by: Signer, content: string): Promise<void> => {
    await addBlob(store.blobs, content);
    await store.directory.add(key, by.sign(JSON.stringify({ sha512: digestOf(content), version: content })));
  };
  const checkSource = (options: Partial<CheckOptions> = {}) =>
    checkRelease(key, store.source, {
      ...{ machine: MACHINE, trusted: trusting(signer), deep: false },
      ...options,
    });

  it('is there when every trusted entry has its blob, on whatever platform', async () => {
    expect(await checkSource()).toMatchObject({ problem: { message: 'there is no entry for it' } });
    await add(stranger, '0');
    expect(await checkSource()).toMatchObject({
      problem: { kind: 'untrusted', message: 'it has 1 entry, but no trusted certificate verifies it' },
    });
    await add(signer, '1');
    await add(signer, '2');
    for (const deep of [false, true])
      expect(await checkSource({ deep })).toMatchObject({
        ...{ problem: undefined, platforms: [] },
        chosen: { platform: undefined, sha512: digestOf('2'), size: 1 },
      });
  });

  it('is not there when a client may choose an entry whose blob is missing or damaged', async () => {
    await add(signer, 'abcdef'.repeat(1000));
    await add(signer, '2');
    const older = digestOf('abcdef'.repeat(1000));
    await flipBit(store.root, blobName(older));
    expect(await checkSource()).toMatchObject({ problem: undefined });
    expect(await checkSource({ deep: true })).toMatchObject({
      problem: { kind: 'blob-damaged' },
      chosen: { sha512: older },
    });
    await store.blobs.remove(older);
    expect(await checkSource()).toMatchObject({
      problem: { kind: 'blob-missing', message: `its blob ${older} is not there` },
      chosen: { sha512: older, size: undefined },
    });
  });

  it('is not told of platforms that it has not', async () => {
    await add(signer, '1');
    expect((await checkSource({ trusted: trusting(stranger) })).problem?.message).not.toMatch(
      /platform|build/,
    );
  });
});
