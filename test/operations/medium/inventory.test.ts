import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createTrustedCertificates, type SignedDocument } from '../../../src/cache/signature.ts';
import { readInventory, takeInventory, type Inventory } from '../../../src/operations/medium/inventory.ts';
import { keyPairOf } from '../../fixtures/key-pairs.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { expectCacheError } from '../../fixtures/expected-error.ts';
import { signerOf } from '../../fixtures/signing-keys.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import {
  addRelease,
  blobsIn,
  CDN,
  entriesIn,
  exportTo,
  filesOf,
  importFrom,
  KVM,
  MIB,
  prepareTrip,
  type MediumSite,
  type Trip,
} from './medium-site.ts';

const MORE = 'https://example.com/1.0/software/more/software.cfg';

let trip: Trip;
let file: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  file = join(trip.folder, 'have.json');
});

async function inventoryOf(
  { site }: MediumSite,
  signer: MediumSite['signer'] | undefined,
  change: (document: SignedDocument) => unknown = (document) => document,
): Promise<Inventory> {
  await writeFile(file, JSON.stringify(change(await takeInventory(site, signer))));
  const trusted = [{ pem: trip.offline.signer.certificate, where: 'trusted' }];
  return readInventory(file, createTrustedCertificates(trusted));
}

/** The first trip is over. */
async function firstTrip(): Promise<void> {
  await exportTo(trip.medium, trip.connected);
  await importFrom(trip.medium, trip.offline);
}

describe('an inventory', () => {
  it('tells what a site has, signed by its key, and changes nothing there', async () => {
    await firstTrip();
    const before = await contentsOf(trip.offline.root);
    const inventory = await inventoryOf(trip.offline, trip.offline.signer);
    expect(inventory.signature.kind).toBe('trusted');
    expect(inventory.hasEntry(trip.cdn.key, trip.cdn.entry.digest)).toBe(true);
    expect(inventory.hasEntry(trip.kvm.key, trip.cdn.entry.digest)).toBe(false);
    expect(inventory.blobSize(trip.kvm.sha512)).toBe(2 * MIB + 12_345);
    expect(await contentsOf(trip.offline.root)).toEqual(before);
  });

  it('tells entries without a blob as such', async () => {
    await firstTrip();
    await trip.offline.site.blobs.remove(trip.kvm.sha512);
    const inventory = await inventoryOf(trip.offline, trip.offline.signer);
    expect(inventory.hasEntry(trip.kvm.key, trip.kvm.entry.digest)).toBe(true);
    expect(inventory.blobSize(trip.kvm.sha512)).toBeUndefined();
  });

  it('may be unsigned, or of somebody who is not trusted: that is told', async () => {
    expect((await inventoryOf(trip.offline, undefined)).signature.kind).toBe('none');
    expect((await inventoryOf(trip.offline, trip.connected.signer)).signature).toMatchObject({
      kind: 'stranger',
      certificate: { subject: 'CN=connected' },
    });
  });

  it('that was changed after it was signed is refused', async () => {
    await firstTrip();
    await expectCacheError(
      inventoryOf(trip.offline, trip.offline.signer, ([text, signature]) => [`${text} `, signature]),
      'untrusted',
      /have\.json: .*changed after signing/,
    );
  });

  it.each([
    ['a manifest', () => ['{"type":"shacache-medium"}', ''], /not an inventory/],
    ['no document', () => ({}), /not a JSON list/],
    [
      'an inventory of the future',
      ([text]: SignedDocument) => [text.replace('"format":1', '"format":2'), ''],
      /have\.json has format 2; this program knows 1: use a newer one/,
    ],
  ])('that is %s is refused', async (_what, change, message) => {
    await expectCacheError(inventoryOf(trip.offline, undefined, change), 'invalid-medium', message);
  });

  it('that is not there is wrong usage', async () => {
    await expectCacheError(
      readInventory(join(trip.folder, 'none'), createTrustedCertificates([])),
      'usage',
      /none: can't be read \(ENOENT: no such file or folder\)/,
    );
  });
});

describe('an export of what is missing', () => {
  async function secondTrip(inventory: Inventory): Promise<readonly string[]> {
    await mkdir(second());
    const { entries } = await exportTo(second(), trip.connected, { inventory });
    await importFrom(second(), trip.offline);
    return entries.map(({ softwareUrl, outcome }) => `${outcome} ${softwareUrl}`).sort();
  }

  const second = (): string => join(trip.folder, 'second');

  it('carries only what the other side has not', async () => {
    await firstTrip();
    const more = await addRelease(trip.connected, MORE, 5000);
    const outcomes = await secondTrip(await inventoryOf(trip.offline, trip.offline.signer));
    expect(outcomes).toEqual([`exported ${MORE}`, `present ${CDN}`, `present ${KVM}`]);
    const names = await filesOf(second());
    expect(names.filter((name) => name.includes('/bcache/'))).toEqual([`store/bcache/${more.sha512}`]);
    expect(names.filter((name) => name.includes('/bdir/'))).toHaveLength(1);
    expect(await blobsIn(trip.offline)).toEqual(await blobsIn(trip.connected));
    expect(await entriesIn(trip.offline)).toEqual(await entriesIn(trip.connected));
  });

  it('carries the blob again that the other side has lost, and cut off ones', async () => {
    await firstTrip();
    await trip.offline.site.blobs.remove(trip.kvm.sha512);
    const outcomes = await secondTrip(await inventoryOf(trip.offline, trip.offline.signer));
    expect(outcomes).toEqual([`exported ${KVM}`, `present ${CDN}`]);
    expect(await blobsIn(trip.offline)).toEqual(await blobsIn(trip.connected));
  });

  it('carries an entry alone whose blob is there already', async () => {
    await firstTrip();
    const { site, signer } = trip.connected;
    const members = { sha512: trip.kvm.sha512, software_url: KVM, multiarch: 'x', os: ['a', 'b', 'c'] };
    await site.directory.add(trip.kvm.key, signer.sign(JSON.stringify(members)));
    const outcomes = await secondTrip(await inventoryOf(trip.offline, trip.offline.signer));
    expect(outcomes).toEqual([`exported ${KVM}`, `present ${CDN}`, `present ${KVM}`]);
    expect((await filesOf(second())).filter((name) => name.includes('/bcache/'))).toEqual([]);
    expect(await entriesIn(trip.offline)).toEqual(await entriesIn(trip.connected));
  });

  it('of what was fetched and signed anew, in one place, carries the signature that is of use there', async () => {
    const upstream = await keyPairOf('upstream');
    const { signer } = trip.connected;
    const connected = { ...trip.connected, trusted: [...trip.connected.trusted, upstream.certificate] };
    const mediumSigners = createTrustedCertificates([{ pem: signer.certificate, where: 'own' }]);
    const [theirs, ours] = [new Set<string>(), new Set<string>()];
    // Which of the two is listed first is a matter of luck.
    for (let number = 0; number < 8; number++) {
      const url = `${MORE}?${number}`;
      const { key, entry } = await addRelease(connected, url, 10, { by: signerOf(upstream) });
      const received = (await connected.site.directory.entry(key, entry.digest))?.received;
      const anew = signer.sign(entry.pair[0]);
      await connected.site.directory.add(key, anew, received);
      theirs.add(entry.digest);
      ours.add(anew.digest);
    }
    const alone = await addRelease(connected, `${MORE}?alone`, 10, { by: signerOf(upstream) });
    const notes: string[] = [];
    const onNote = (text: string): void => void notes.push(text);
    const everything = await mkdtemp(join(trip.folder, 'all'));
    await exportTo(everything, connected, { mediumSigners, onNote });
    expect(notes.join('\n')).toMatch(
      /^note: 1 of the builds is signed by others only; .*cache fetch --resign$/m,
    );
    await connected.site.directory.remove(alone.key, alone.entry.digest);
    const inventory = await inventoryOf(connected, undefined);
    const carriedWithout = async (missing: ReadonlySet<string>): Promise<readonly string[]> => {
      const folder = await mkdtemp(join(trip.folder, 'trip'));
      const has = (digest: string): boolean => !missing.has(digest);
      const there = { ...inventory, hasEntry: (_key: string, digest: string) => has(digest) };
      await exportTo(folder, connected, { mediumSigners, inventory: there });
      const names = await filesOf(folder).catch(() => []);
      return names.filter((name) => name.includes('/bdir/')).map((name) => basename(name));
    };
    expect(await carriedWithout(theirs)).toEqual([]);
    expect([...(await carriedWithout(ours))].sort()).toEqual([...ours].sort());
  });

  it('by a wrong inventory lacks what the site needs, and the import says so', async () => {
    const inventory = await inventoryOf(trip.connected, undefined);
    const lying = { ...inventory, hasEntry: () => false };
    const medium = trip.medium;
    await exportTo(medium, trip.connected, { inventory: lying });
    const results = await importFrom(medium, trip.offline);
    expect(results.map(({ outcome }) => outcome)).toEqual(['refused', 'refused']);
    expect(results[0]?.reason).toMatch(
      /is neither on the medium nor in the store; export it again without --missing-from/,
    );
    expect(await entriesIn(trip.offline)).toEqual([]);
  });

  it('writes nothing when nothing is missing', async () => {
    const before = await contentsOf(trip.medium);
    const inventory = await inventoryOf(trip.connected, undefined);
    const { entries, seal } = await exportTo(trip.medium, trip.connected, { inventory });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['present', 'present']);
    expect(seal).toBeUndefined();
    expect(await contentsOf(trip.medium)).toEqual(before);
  });
});
