import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, type Digest } from '../../../src/cache/digest.ts';
import type { VerifiedEntry } from '../../../src/cache/entry.ts';
import { CacheError } from '../../../src/cache/errors.ts';
import { blobName, entriesPrefix } from '../../../src/cache/layout.ts';
import type { ObjectStorage } from '../../../src/cache/object-storage.ts';
import type { Signer, TrustedCertificates } from '../../../src/cache/signature.ts';
import type { Source } from '../../../src/cache/source.ts';
import { createStore } from '../../../src/cache/store.ts';
import type { Finding } from '../../../src/operations/upkeep/finding.ts';
import {
  createResolver,
  type ResolveOptions,
  type Resolution,
} from '../../../src/operations/upkeep/resolve-findings.ts';
import { createUpstream } from '../../../src/upstream/client.ts';
import { expectCacheError } from '../../fixtures/expected-error.ts';
import { recordsIn } from '../../fixtures/store-log.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { startHttpServer } from '../../fixtures/http-server.ts';
import { createTestSigner } from '../../http/test-signer.ts';
import { addBlob, addRelease, keyOf, makeStore, trusting, type TestStore } from '../test-store.ts';
import { briefly, flipBit, openToVerify, verifyAll } from './upkeep-store.ts';

let signer: Signer;
let trusted: TrustedCertificates;
let store: TestStore;
let good: TestStore;

beforeAll(async () => {
  signer = await createTestSigner();
  trusted = trusting(signer);
});

beforeEach(async () => {
  [store, good] = await Promise.all([makeStore(), makeStore()]);
});

const urlOf = (number: number): string => `https://example.com/${number}/software.cfg`;
const contentOf = (number: number): string => `archive ${number} `.repeat(2000);
const nameOf = (entry: VerifiedEntry): string =>
  entriesPrefix(keyOf({ url: entry.softwareUrl ?? '' })) + entry.digest;

/** The same releases in both stores, received at other times. */
async function addReleases(count: number): Promise<readonly VerifiedEntry[]> {
  const entries = [];
  for (let number = 0; number < count; number++) {
    const release = { url: urlOf(number), content: contentOf(number) };
    await addRelease(good, signer, release, new Date(Date.UTC(2001, 0, number + 1)));
    entries.push(await addRelease(store, signer, release, new Date(Date.UTC(2001, 5, number + 1))));
  }
  return entries;
}

/** Verifies the store, and resolves each finding at once. */
async function resolve(
  options: Partial<ResolveOptions> = {},
): Promise<readonly (Finding & { resolution: Resolution })[]> {
  const opened = await openToVerify(store.root);
  const resolver = createResolver(opened, {
    ...{ repair: false, sources: [], trusted, log: store.log, ...options },
  });
  const { findings } = await verifyAll(opened, trusted);
  const resolved = [];
  for (const finding of findings) resolved.push({ ...finding, resolution: await resolver(finding) });
  return resolved;
}

const outcomes = (findings: readonly { readonly resolution: Resolution }[]) =>
  findings.map(({ resolution }) => resolution.outcome).sort();

async function expectWhole(): Promise<void> {
  expect((await verifyAll(await openToVerify(store.root), trusted)).findings).toEqual([]);
}

/** Every file in quarantine, by its path below the folder of the run. */
async function quarantined(): Promise<readonly string[]> {
  const folder = join(store.root, 'quarantine');
  const files = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return files
    .filter((file) => !file.isDirectory())
    .map((file) =>
      join(file.parentPath, file.name)
        .slice(folder.length)
        .replace(/^\/[^/]+\//, ''),
    )
    .sort();
}

/** Everything in the store but what is being written. */
async function objects(): Promise<Readonly<Record<string, string>>> {
  const { tmp, ...others } = await contentsOf(store.root);
  expect(tmp).toBeDefined();
  return others;
}

describe('healing', () => {
  it('from a store puts good blobs and entries in the place of bad ones, which are kept', async () => {
    const entries = await addReleases(8);
    const bad = entries.map((entry, index) => (index % 2 ? blobName(entry.sha512) : nameOf(entry)));
    for (const name of bad) await flipBit(store.root, name);
    const wrong = await Promise.all(bad.map((name) => readFile(join(store.root, name))));
    const before = await store.directory.entries(keyOf({ url: urlOf(1) }));
    expect(outcomes(await resolve({ sources: [good.source] }))).toEqual(Array(8).fill('healed'));
    await expectWhole();
    expect(await quarantined()).toEqual([...bad].sort());
    const [run = ''] = await readdir(join(store.root, 'quarantine'));
    const kept = await Promise.all(bad.map((name) => readFile(join(store.root, 'quarantine', run, name))));
    expect(kept).toEqual(wrong);
    // What was not damaged stays; what was has the time of the source.
    expect(await store.directory.entries(keyOf({ url: urlOf(1) }))).toEqual(before);
    const [healed] = await store.directory.entries(keyOf({ url: urlOf(2) }));
    expect(healed?.received).toEqual(new Date(Date.UTC(2001, 0, 3)));
    expect(await recordsIn(store.root)).toEqual(
      Array(8).fill(
        expect.objectContaining({
          ...{ action: 'heal', source: good.root },
          target: expect.stringMatching(/^quarantine\//) as string,
        }),
      ),
    );
  });

  it('from a running cache keeps the order of entries', async () => {
    const server = await startHttpServer();
    onTestFinished(async () => {
      await server.stop();
    });
    const served = { ...store, blobs: server.blobs, directory: server.directory };
    const all: VerifiedEntry[] = [];
    for (const number of [0, 1, 2]) {
      const release = { content: contentOf(number) };
      all.unshift(await addRelease(store, signer, release));
      await addRelease(served, signer, release);
    }
    for (const entry of all) await flipBit(store.root, blobName(entry.sha512));
    await flipBit(store.root, `${entriesPrefix(keyOf())}${all[1]?.digest ?? ''}`);
    const upstream = createUpstream({ directory: `${server.url}/bdir`, blobs: `${server.url}/bcache` });
    expect(outcomes(await resolve({ sources: [upstream] }))).toEqual(Array(4).fill('healed'));
    await expectWhole();
    const order = (await store.directory.entries(keyOf())).map(({ digest }) => digest);
    expect(order).toEqual(all.map(({ digest }) => digest));
  });

  it('brings what is missing, and asks the next source where one can not help', async () => {
    const entries = await addReleases(3);
    for (const entry of entries) await rm(join(store.root, blobName(entry.sha512)));
    const [first, second] = entries;
    const empty = await makeStore();
    await flipBit(good.root, blobName(first?.sha512 ?? digestOf('')));
    const better = await makeStore();
    await addBlob(better.blobs, contentOf(0));
    const findings = await resolve({ sources: [empty.source, good.source, better.source] });
    expect(findings.map(({ resolution }) => resolution)).toEqual(
      expect.arrayContaining([
        { outcome: 'healed', source: better.root, quarantined: undefined },
        { outcome: 'healed', source: good.root, quarantined: undefined },
      ]),
    );
    expect(second).toBeDefined();
    await expectWhole();
    expect(await quarantined()).toEqual([]);
  });

  it('takes nothing that is damaged, not trusted or something else, and says why', async () => {
    const [one, two, three] = await addReleases(3);
    if (one === undefined || two === undefined || three === undefined) throw new Error('none');
    for (const at of [store, good]) {
      await flipBit(at.root, blobName(one.sha512));
      await flipBit(at.root, nameOf(two));
    }
    await rm(join(good.root, blobName(three.sha512)));
    await rm(join(store.root, blobName(three.sha512)));
    const before = await objects();
    const findings = await resolve({ sources: [good.source] });
    expect(outcomes(findings)).toEqual(['left', 'left', 'left']);
    const reasons = findings.map(({ resolution }) =>
      resolution.outcome === 'left' ? resolution.reasons[0] : '',
    );
    expect(reasons.every((reason) => reason?.startsWith(`${good.root}: `))).toBe(true);
    expect(reasons.join()).toMatch(/have the sha512/);
    expect(reasons.join()).toMatch(/is damaged/);
    expect(reasons.join()).toMatch(/has no blob/);
    expect(await objects()).toEqual(before);
    const strangers = trusting(await createTestSigner('stranger'));
    await rm(join(good.root, nameOf(two)));
    await addRelease(good, signer, { url: urlOf(1), content: contentOf(1) });
    const untrusted = await resolve({ sources: [good.source], trusted: strangers });
    expect(JSON.stringify(untrusted)).toMatch(/no trusted certificate/);
    expect(await objects()).toEqual(before);
  });

  it('gives up a source that can not be reached, after the first time', async () => {
    const entries = await addReleases(3);
    for (const entry of entries) await flipBit(store.root, blobName(entry.sha512));
    let asked = 0;
    const away: Source = {
      ...good.source,
      name: 'away',
      openBlob: () => Promise.reject(new CacheError('unavailable', `away: ${++asked}`)),
    };
    expect(outcomes(await resolve({ sources: [away, good.source] }))).toEqual(Array(3).fill('healed'));
    expect(asked).toBe(1);
  });

  it('is not stopped by other damage of the same key', async () => {
    const all = [];
    for (const number of [0, 1, 2]) {
      await addRelease(good, signer, { content: contentOf(number) });
      all.push(await addRelease(store, signer, { content: contentOf(number) }));
    }
    for (const entry of all) await flipBit(store.root, nameOf(entry));
    expect(outcomes(await resolve({ sources: [good.source] }))).toEqual(Array(3).fill('healed'));
    await expectWhole();
  });

  it('replaces links and folders in the place of objects', async () => {
    const [one, two, three] = await addReleases(3);
    if (one === undefined || two === undefined || three === undefined) throw new Error('none');
    const paths = [blobName(one.sha512), blobName(two.sha512), nameOf(three)];
    for (const path of paths) await rm(join(store.root, path));
    await symlink('/etc/hostname', join(store.root, paths[0] ?? ''));
    await mkdir(join(store.root, paths[1] ?? '', 'inside'), { recursive: true });
    await symlink('/etc/hostname', join(store.root, paths[2] ?? ''));
    expect(outcomes(await resolve({ sources: [good.source] }))).toEqual(Array(3).fill('healed'));
    await expectWhole();
  });

  it('lets nobody who reads meanwhile meet nothing in the place of a bad one', async () => {
    const entries = await addReleases(6);
    const names = entries.flatMap((entry) => [blobName(entry.sha512), nameOf(entry)]);
    for (const name of names) await flipBit(store.root, name);
    let isDone = false as boolean;
    const watching = (async () => {
      let looks = 0;
      for (; !isDone; looks++) {
        for (const name of names) expect(await store.storage.stat(name), name).toBeDefined();
      }
      return looks;
    })();
    expect(outcomes(await resolve({ sources: [good.source] }))).toEqual(Array(12).fill('healed'));
    isDone = true;
    expect(await watching).toBeGreaterThan(10);
  });
});

describe('repair', () => {
  it('moves what is bad to quarantine, and loses nothing', async () => {
    const [badBlob, badEntry, whole] = await addReleases(3);
    if (badBlob === undefined || badEntry === undefined || whole === undefined) throw new Error('none');
    const bad = [blobName(badBlob.sha512), nameOf(badEntry), 'bdir/stray', 'bcache/link'];
    await flipBit(store.root, bad[0] ?? '');
    await flipBit(store.root, bad[1] ?? '');
    await writeFile(join(store.root, 'bdir', 'stray'), 'x');
    await symlink('nowhere', join(store.root, 'bcache', 'link'));
    const findings = await resolve({ repair: true });
    expect(outcomes(findings)).toEqual(Array(4).fill('quarantined'));
    expect(await quarantined()).toEqual([...bad].sort());
    // The release is named now whose blob is missing.
    const { findings: left } = await verifyAll(await openToVerify(store.root), trusted);
    expect(briefly(left)).toEqual([`blob-missing ${blobName(badBlob.sha512)}`]);
    expect(await store.directory.entries(keyOf({ url: urlOf(1) }))).toEqual([]);
    expect((await recordsIn(store.root)).map(({ action }) => action)).toEqual(Array(4).fill('repair'));
  });

  it('takes a damaged record of the log away', async () => {
    await store.log.record({ action: 'import', reason: 'one' });
    const [name = ''] = await store.log.list();
    await flipBit(store.root, name);
    const findings = await resolve({ repair: true });
    expect(findings.map(({ path }) => path)).toContain(name);
    expect(await quarantined()).toContain(name);
    expect(await store.log.list()).not.toContain(name);
  });

  it('moves only what could not be healed', async () => {
    const entries = await addReleases(2);
    for (const entry of entries) await flipBit(store.root, blobName(entry.sha512));
    await rm(join(good.root, blobName(entries[0]?.sha512 ?? digestOf(''))));
    expect(outcomes(await resolve({ repair: true, sources: [good.source] }))).toEqual([
      'healed',
      'quarantined',
    ]);
  });

  it('does not put away a good blob that came while the bad one was looked at once more', async () => {
    const [entry] = await addReleases(1);
    if (entry === undefined) throw new Error('none was added');
    await flipBit(store.root, blobName(entry.sha512));
    const opened = await openToVerify(store.root);
    const { findings } = await verifyAll(opened, trusted);
    const blobs = {
      ...opened.blobs,
      open: async (digest: Digest) => {
        const object = await opened.blobs.open(digest);
        return (
          object && {
            ...object,
            close: async () => {
              await object.close();
              await new Promise((resolve) => setTimeout(resolve, 20));
              await addBlob(store.blobs, contentOf(0));
            },
          }
        );
      },
    };
    const resolver = createResolver({ ...opened, blobs }, { repair: true, sources: [], trusted });
    for (const finding of findings) expect(await resolver(finding)).toEqual({ outcome: 'gone' });
    await expectWhole();
  });

  it('leaves alone what is right by now', async () => {
    const [entry] = await addReleases(1);
    if (entry === undefined) throw new Error('none');
    const opened = await openToVerify(store.root);
    const resolver = createResolver(opened, { repair: true, sources: [], trusted });
    for (const name of [blobName(entry.sha512), nameOf(entry)]) {
      const content = await readFile(join(store.root, name));
      await flipBit(store.root, name);
      const { findings } = await verifyAll(opened, trusted);
      expect(findings).toHaveLength(1);
      // Somebody imports it again in the meantime.
      await writeFile(join(store.root, name), content);
      for (const finding of findings) expect(await resolver(finding)).toEqual({ outcome: 'gone' });
    }
    expect(await quarantined()).toEqual([]);
    await expectWhole();
  });

  it('leaves what nobody trusts: that is not damage', async () => {
    const stranger = await createTestSigner('stranger');
    await addRelease(store, stranger, { content: 'x' });
    const before = await contentsOf(store.root);
    expect(outcomes(await resolve({ repair: true, sources: [good.source] }))).toEqual(['left']);
    expect(await contentsOf(store.root)).toEqual(before);
  });

  it('restores store.json, and keeps the damaged one', async () => {
    await addReleases(1);
    await chmod(join(store.root, 'store.json'), 0o644);
    await writeFile(join(store.root, 'store.json'), '{"format": 1');
    expect(outcomes(await resolve())).toEqual(['left']);
    expect(outcomes(await resolve({ repair: true }))).toEqual(['healed']);
    expect(JSON.parse(await readFile(join(store.root, 'store.json'), 'utf8'))).toEqual({ format: 1 });
    expect(await quarantined()).toEqual(['store.json']);
    await expectWhole();
  });
});

it.each(['unavailable', 'storage'] as const)(
  'nothing goes to quarantine while the second look at it ends with %s: that says nothing of the object',
  async (code) => {
    const [blob, entry] = await addReleases(2);
    for (const name of [blobName(blob?.sha512 ?? digestOf('')), entry === undefined ? '' : nameOf(entry)])
      await flipBit(store.root, name);
    const opened = await openToVerify(store.root);
    let isAway = false;
    const open: ObjectStorage['open'] = (name) =>
      isAway
        ? Promise.reject(new CacheError(code, 'answered 503', { cause: new Error('SlowDown') }))
        : opened.storage.open(name);
    const flaky = createStore(
      { ...opened, storage: { ...opened.storage, open } },
      { who: { user: 'root', host: 'master' } },
    );
    const { findings } = await verifyAll(flaky, trusted);
    expect(findings).toHaveLength(2);
    const resolver = createResolver(flaky, { repair: true, sources: [], trusted });
    isAway = true;
    for (const finding of findings) await expectCacheError(resolver(finding), code, 'answered 503');
    expect(await quarantined()).toEqual([]);
    isAway = false;
    for (const finding of findings) expect(await resolver(finding)).toMatchObject({ outcome: 'quarantined' });
  },
);
