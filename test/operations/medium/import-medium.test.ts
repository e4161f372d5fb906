import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { CacheError } from '../../../src/cache/errors.ts';
import { createTrustedCertificates } from '../../../src/cache/signature.ts';
import { readInventory, takeInventory } from '../../../src/operations/medium/inventory.ts';
import { openMedium } from '../../../src/operations/medium/open-medium.ts';
import { syncToStore } from '../../../src/operations/sync.ts';
import { transferKey } from '../../../src/operations/transfer.ts';
import { createStoreDestination } from '../../../src/operations/store-destination.ts';
import type { Store } from '../../../src/cache/store.ts';
import { keyPairOf } from '../../fixtures/key-pairs.ts';
import { recordsIn } from '../../fixtures/store-log.ts';
import { createResolver } from '../../../src/operations/upkeep/resolve-findings.ts';
import { collect } from '../../fixtures/collect.ts';
import { cacheErrorOf, expectCacheError } from '../../fixtures/expected-error.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { mountReadOnly, mountTmpfs, unmount } from '../../fixtures/mounts.ts';
import { signerOf } from '../../fixtures/signing-keys.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import {
  addRelease,
  blobsIn,
  CDN,
  entriesIn,
  exportTo,
  hasGoodBlob,
  importFrom,
  KVM,
  makeSite,
  MIB,
  prepareTrip,
  trustedOf,
  type Trip,
} from './medium-site.ts';
import { openToVerify, verifyAll } from '../upkeep/upkeep-store.ts';

let trip: Trip;
let medium: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
});

describe('an import of a medium', () => {
  it('adds no entry whose blob was removed meanwhile: it is copied again, or the entry refused', async () => {
    await exportTo(medium, trip.connected);
    const { blobs } = trip.offline.site;
    await importFrom(medium, trip.offline);
    for (const { key, entry } of [trip.cdn, trip.kvm])
      await trip.offline.site.directory.remove(key, entry.digest);
    // As gc does, between the look at what is there and the entries: here it is when the other blob is copied.
    await blobs.remove(trip.kvm.sha512);
    const results = await importFrom(medium, trip.offline, {
      onProgress: () => {
        rmSync(join(trip.offline.root, 'bcache', trip.cdn.sha512), { force: true });
      },
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
    for (const { sha512 } of [trip.cdn, trip.kvm]) expect(await hasGoodBlob(trip.offline, sha512)).toBe(true);
  });

  it('brings blobs and entries, records who came how, and changes nothing the second time', async () => {
    await exportTo(medium, trip.connected);
    const results = await importFrom(medium, trip.offline);
    expect(results).toMatchObject([
      { outcome: 'imported', softwareUrl: CDN, key: trip.cdn.key, sha512: trip.cdn.sha512, size: 100_000 },
      { outcome: 'imported', softwareUrl: KVM, key: trip.kvm.key, sha512: trip.kvm.sha512 },
    ]);
    expect(await hasGoodBlob(trip.offline, trip.cdn.sha512)).toBe(true);
    expect(await hasGoodBlob(trip.offline, trip.kvm.sha512)).toBe(true);
    const log = await recordsIn(trip.offline.root);
    expect(log).toMatchObject([
      { action: 'import', softwareUrl: CDN, entry: trip.cdn.entry.digest, source: medium, size: 100_000 },
      { action: 'import', softwareUrl: KVM, entry: trip.kvm.entry.digest, source: medium },
    ]);

    const before = await contentsOf(join(trip.offline.root, 'bcache'));
    let bytes = 0;
    const again = await importFrom(medium, trip.offline, {
      onProgress: (_digest, count) => (bytes += count),
    });
    expect(again.map(({ outcome }) => outcome)).toEqual(['unchanged', 'unchanged']);
    expect(bytes).toBe(0);
    expect(await contentsOf(join(trip.offline.root, 'bcache'))).toEqual(before);
    expect(await recordsIn(trip.offline.root)).toEqual(log);
  });

  it('only reads the medium: one that is mounted read-only does', async (context) => {
    await exportTo(medium, trip.connected, { split: MIB });
    const at = join(trip.folder, 'mounted');
    await mountReadOnly(context, medium, at);
    const before = await contentsOf(medium);
    expect(await importFrom(at, trip.offline)).toHaveLength(2);
    expect(await importFrom(at, trip.offline)).toHaveLength(2);
    expect(await contentsOf(medium)).toEqual(before);
  });

  it('that is dry reads every byte and writes nothing, also where there is no store', async () => {
    await exportTo(medium, trip.connected, { split: MIB });
    const before = await contentsOf(trip.offline.root);
    let [bytes, total] = [0, 0];
    const results = await importFrom(medium, trip.offline, {
      target: undefined as never,
      onTotal: (count) => (total = count),
      onProgress: (_digest, count) => (bytes += count),
    });
    expect(results.map(({ outcome }) => outcome)).toEqual(['checked', 'checked']);
    expect([bytes, total]).toEqual([2 * MIB + 112_345, 2 * MIB + 112_345]);
    expect(await contentsOf(trip.offline.root)).toEqual(before);
  });

  it('that is broken off shows nothing yet, and the next only copies what is missing', async () => {
    await exportTo(medium, trip.connected);
    let bytes = 0;
    const breaking = importFrom(medium, trip.offline, {
      onProgress: (_digest, count) => {
        bytes += count;
        if (bytes > 1.5 * MIB) throw new Error('broken off');
      },
    });
    await expect(breaking).rejects.toThrow('broken off');
    expect(await entriesIn(trip.offline)).toEqual([]);
    const there = await blobsIn(trip.offline);
    expect(there).toEqual([trip.cdn.sha512]);
    bytes = 0;
    await importFrom(medium, trip.offline, { onProgress: (_digest, count) => (bytes += count) });
    expect(bytes).toBe(2 * MIB + 12_345);
    expect(await entriesIn(trip.offline)).toHaveLength(2);
  });

  it('replaces a truncated blob of the store', async () => {
    await exportTo(medium, trip.connected);
    await importFrom(medium, trip.offline);
    const path = join(trip.offline.root, 'bcache', trip.kvm.sha512);
    await chmod(path, 0o644);
    await truncate(path, 1000);
    const outcomes = (await importFrom(medium, trip.offline)).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(['unchanged', 'imported']);
    expect(await hasGoodBlob(trip.offline, trip.kvm.sha512)).toBe(true);
  });

  it('of a medium that is pulled out says so, and not that it is damaged', async (context) => {
    await mountTmpfs(context, medium, 64 * MIB);
    await exportTo(medium, trip.connected);
    let isGone = false;
    const error = await cacheErrorOf(
      importFrom(medium, trip.offline, {
        onProgress: () => {
          if (!isGone) execFileSync('umount', ['-l', medium]);
          isGone = true;
        },
      }),
    );
    expect(error.message).toMatch(/medium is gone; plug the medium in, mount it, and run the import again/);
    expect(error.code).toBe('storage');
    expect(await entriesIn(trip.offline)).toEqual([]);
    await unmount(medium);
  });

  it('into a store without room writes nothing', async () => {
    await exportTo(medium, trip.connected);
    const before = await contentsOf(trip.offline.root);
    const checkRoom = (bytes: number): Promise<void> =>
      Promise.reject(new CacheError('no-space', `no room for ${bytes}`));
    await expectCacheError(
      importFrom(medium, { ...trip.offline, site: { ...trip.offline.site, checkRoom } }),
      'no-space',
      new RegExp(`no room for ${2 * MIB + 112_345}$`),
    );
    expect(await contentsOf(trip.offline.root)).toEqual(before);
    const full = await makeSite(join(trip.folder, 'full'), 'offline', {
      trust: [trip.connected.signer.certificate],
      minFreeSpace: 2 ** 50,
    });
    await expectCacheError(importFrom(medium, full), 'no-space', /no room/);
    expect(await entriesIn(full)).toEqual([]);
  });
});

describe('an entry of a medium', () => {
  it('whose signer is not trusted is refused, and its blob not copied; the others are imported', async () => {
    const upstream = await keyPairOf('upstream');
    const { sha512 } = await addRelease(trip.connected, 'https://example.com/upstream.cfg', 5000, {
      by: signerOf(upstream),
    });
    const trusted = createTrustedCertificates(
      [trip.connected.signer.certificate, upstream.certificate].map((pem) => ({ pem, where: 'trusted' })),
    );
    await exportTo(medium, trip.connected, { trusted });
    const results = await importFrom(medium, trip.offline);
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['imported', 'imported', 'refused']);
    expect(results.find(({ outcome }) => outcome === 'refused')).toMatchObject({
      softwareUrl: 'https://example.com/upstream.cfg',
      reason: expect.stringMatching(/no trusted certificate verifies the signature/) as string,
    });
    expect(await blobsIn(trip.offline)).not.toContain(sha512);

    const both = await makeSite(join(trip.folder, 'both'), 'offline', {
      trust: [trip.connected.signer.certificate, upstream.certificate],
    });
    expect((await importFrom(medium, both)).map(({ outcome }) => outcome)).toEqual(Array(3).fill('imported'));
  });

  it('whose signer is not trusted is skipped when somebody trusted has signed the same build anew', async () => {
    const upstream = await keyPairOf('upstream');
    const url = 'https://example.com/upstream.cfg';
    const { key, entry, sha512 } = await addRelease(trip.connected, url, 5000, { by: signerOf(upstream) });
    await trip.connected.site.directory.add(key, trip.connected.signer.sign(entry.pair[0]));
    const trusted = createTrustedCertificates(
      [trip.connected.signer.certificate, upstream.certificate].map((pem) => ({ pem, where: 'trusted' })),
    );
    await exportTo(medium, trip.connected, { trusted, keys: [key] });
    const results = await importFrom(medium, trip.offline);
    expect(results.map(({ outcome }) => outcome).sort()).toEqual(['imported', 'skipped']);
    expect(await hasGoodBlob(trip.offline, sha512)).toBe(true);
    // The next trip doesn't carry again what was skipped.
    const have = await takeInventory(trip.offline.site, undefined);
    const file = join(trip.folder, 'have.json');
    await writeFile(file, JSON.stringify(have));
    const inventory = await readInventory(file, trusted);
    const { entries } = await exportTo(medium, trip.connected, { trusted, keys: [key], inventory });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['present', 'present']);
  });

  it('keeps its place among those that the site has', async () => {
    const newer = await addRelease(trip.offline, CDN, 10, { received: new Date('2999-01-01') });
    const older = await addRelease(trip.offline, CDN, 20, { version: '0', received: new Date('1999-01-01') });
    await exportTo(medium, trip.connected);
    await importFrom(medium, trip.offline);
    const entries = await trip.offline.site.directory.entries(trip.cdn.key);
    expect(entries.map(({ digest }) => digest)).toEqual(
      [newer, trip.cdn, older].map(({ entry }) => entry.digest),
    );
  });
});

const storeAs = (store: Store) => createStoreDestination(store, () => ({ action: 'sync' }));

describe('a medium as a source', () => {
  it('gives what was exported, blobs in parts joined', async () => {
    await exportTo(medium, trip.connected, { split: MIB });
    const trusted = createTrustedCertificates([{ pem: trip.connected.signer.certificate, where: 'trusted' }]);
    const { source } = await openMedium(medium, trusted, undefined);
    expect(source.name).toBe(medium);
    expect((await collect(source.keys())).sort()).toEqual([trip.cdn.key, trip.kvm.key].sort());
    expect(await source.blobSize(trip.kvm.sha512)).toBe(2 * MIB + 12_345);
    expect(await source.entries('0'.repeat(32) as typeof trip.cdn.key)).toEqual([]);
    for (const key of [trip.cdn.key, trip.kvm.key]) {
      const [result] = await collect(transferKey(key, source, storeAs(trip.offline.site), { trusted }));
      expect(result?.outcome).toBe('copied');
    }
    expect(await hasGoodBlob(trip.offline, trip.kvm.sha512)).toBe(true);
  });

  it('without manifest is none', async () => {
    await mkdir(join(trip.folder, 'empty'));
    await exportTo(medium, trip.connected);
    await rm(join(medium, 'manifest.json'));
    for (const folder of [medium, join(trip.folder, 'empty')])
      await expectCacheError(importFrom(folder, trip.offline), 'invalid-medium', /has no manifest\.json/);
  });
});

describe('what is read of a medium into a store', () => {
  const MADE = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'] as const;

  it('stands behind what its signer made later, whatever times the exporting store told', async () => {
    const old = { made: MADE[0], version: 'old', received: new Date('2026-03-01') };
    const later = { made: MADE[1], version: 'new', received: new Date('2026-02-01') };
    const [first, second] = [
      await addRelease(trip.connected, CDN, 20, old),
      await addRelease(trip.connected, CDN, 30, later),
    ];
    await exportTo(medium, trip.connected);
    await importFrom(medium, trip.offline);
    const entries = await trip.offline.site.directory.entries(trip.cdn.key);
    const order = entries.map(({ digest }) => digest);
    expect(order.indexOf(second.entry.digest)).toBeLessThan(order.indexOf(first.entry.digest));
  });

  const [first, second] = [(): string => medium, (): string => join(trip.folder, 'second')];
  const isRemembered = /is older than an imported medium: export 1 of .*; export 2 was imported/;

  /** Two exports, of which the second has one release more. */
  async function exportTwice(): Promise<void> {
    await mkdir(second());
    await exportTo(first(), trip.connected);
    await addRelease(trip.connected, 'https://example.com/software.cfg', 10);
    await exportTo(second(), trip.connected);
  }

  it.each(['what is missing', 'nothing'])('by a sync that brings %s is remembered there', async (missing) => {
    await exportTwice();
    const { site } = trip.offline;
    const trusted = trustedOf(trip.offline);
    const { source } = await openMedium(second(), trusted, undefined);
    if (missing === 'nothing') {
      const forgetful = { ...source, arriveIn: () => Promise.resolve() };
      await collect(syncToStore(forgetful, site, { trusted }));
    }
    await collect(syncToStore(source, site, { trusted, dryRun: true }));
    await importFrom(first(), trip.offline);
    await collect(syncToStore(source, site, { trusted }));
    await expectCacheError(importFrom(first(), trip.offline), 'untrusted', isRemembered);
  });

  it('by healing is remembered there', async () => {
    await exportTwice();
    await importFrom(first(), trip.offline);
    const { root } = trip.offline;
    const trusted = trustedOf(trip.offline);
    const blob = join(root, 'bcache', trip.cdn.sha512);
    await chmod(blob, 0o644);
    await truncate(blob, 5);
    const opened = await openToVerify(root);
    const sources = [(await openMedium(second(), trusted, undefined)).source];
    const resolve = createResolver(opened, { repair: false, sources, trusted });
    const { findings } = await verifyAll(opened, trusted);
    const resolutions = await Promise.all(findings.map(resolve));
    expect(resolutions).toEqual([expect.objectContaining({ outcome: 'healed' })]);
    await expectCacheError(importFrom(first(), trip.offline), 'untrusted', isRemembered);
  });

  it('is remembered before the first entry shows: a sync that is broken off leaves no way back', async () => {
    await exportTwice();
    const { site } = trip.offline;
    const trusted = trustedOf(trip.offline);
    const { source } = await openMedium(second(), trusted, undefined);
    for await (const { outcome } of syncToStore(source, site, { trusted })) {
      expect(outcome).toBe('copied');
      break;
    }
    await expectCacheError(importFrom(first(), trip.offline), 'untrusted', isRemembered);
  });
});
