import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it } from 'vitest';
import { blobName, partName } from '../../../src/cache/layout.ts';
import { sourceOfStore } from '../../../src/cache/source.ts';
import { removeGarbage } from '../../../src/operations/upkeep/collect-garbage.ts';
import { findGarbage } from '../../../src/operations/upkeep/garbage.ts';
import { createResolver } from '../../../src/operations/upkeep/resolve-findings.ts';
import { openStore } from '../../../src/storage/open-store.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { exportTo, MIB, prepareTrip, trustedOf, type Trip } from '../medium/medium-site.ts';
import { briefly, flipBit, openToVerify, verifyAll } from './upkeep-store.ts';

let trip: Trip;
/** The store of a medium, with one blob in three parts. */
let root: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  await exportTo(trip.medium, trip.connected, { split: MIB });
  root = join(trip.medium, 'store');
});

const trusted = () => trustedOf(trip.connected);
const parts = async (): Promise<number> => (await readdir(join(root, 'parts')).catch(() => [])).length;

it('a blob in parts is verified as one, and counted once', async () => {
  const { findings, counts } = await verifyAll(await openToVerify(root), trusted());
  expect(findings).toEqual([]);
  expect(counts).toMatchObject({ blobs: 2, bytes: 2 * MIB + 112_345, unreferencedBlobs: 0 });
});

it.each([true, false])('a flipped bit in a part is found; a good copy replaces it: %s', async (hasCopy) => {
  await flipBit(root, partName(trip.kvm.sha512, 2));
  const store = await openToVerify(root);
  const { findings } = await verifyAll(store, trusted());
  expect(briefly(findings)).toEqual([`blob-damaged ${blobName(trip.kvm.sha512)}`]);
  const sources = hasCopy ? [sourceOfStore(trip.connected.site)] : [];
  const resolve = createResolver(store, { repair: true, sources, trusted: trusted() });
  const [resolution] = await Promise.all(findings.map(resolve));
  expect(resolution).toMatchObject({ outcome: hasCopy ? 'healed' : 'quarantined' });
  const after = await verifyAll(await openToVerify(root), trusted());
  expect(briefly(after.findings)).toEqual(hasCopy ? [] : [`blob-missing ${blobName(trip.kvm.sha512)}`]);
  const quarantine = await readdir(join(root, 'quarantine'), { recursive: true });
  expect(quarantine.filter((name) => /parts\/.*\.000\d$/.test(name))).toHaveLength(3);
  expect(await parts()).toBe(0);
});

it('a blob without its last part is missing', async () => {
  await rm(join(root, partName(trip.kvm.sha512, 3)));
  const { findings } = await verifyAll(await openToVerify(root), trusted());
  expect(briefly(findings)).toEqual([`blob-missing ${blobName(trip.kvm.sha512)}`]);
});

it('gc removes all parts of a blob', async () => {
  const store = await openStore(root, { mode: 'write' });
  await store.directory.remove(trip.kvm.key, trip.kvm.entry.digest);
  const options = { keep: 1, grace: 0, trusted: trusted(), unnamed: true, allowEmpty: false };
  const search = await findGarbage(store, { ...options, pinned: new Set(), now: Date.now() + 1000 });
  expect(search.garbage.blobs).toEqual([{ sha512: trip.kvm.sha512, size: 2 * MIB + 12_345 }]);
  await removeGarbage(store, search, () => Promise.resolve());
  expect(await parts()).toBe(0);
  expect((await verifyAll(store, trusted())).findings).toEqual([]);
});
