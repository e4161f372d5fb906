import { chmod, cp, mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { entriesPrefix } from '../../../src/cache/layout.ts';
import type { SignedDocument } from '../../../src/cache/signature.ts';
import type { MediumImport } from '../../../src/operations/medium/import-medium.ts';
import { collect } from '../../fixtures/collect.ts';
import { expectCacheError } from '../../fixtures/expected-error.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import {
  addRelease,
  CDN,
  entriesIn,
  exportTo,
  hasGoodBlob,
  importFrom,
  importWhatIsWhole,
  KVM,
  MIB,
  prepareTrip,
  type Trip,
} from './medium-site.ts';

let trip: Trip;
let medium: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
  // The blob of CDN is whole, that of KVM has three parts.
  await exportTo(medium, trip.connected, { split: MIB });
});

const blobOfCdn = (): string => join(medium, 'store', 'bcache', trip.cdn.sha512);
const partOfKvm = (number: number): string =>
  join(medium, 'store', 'parts', `${trip.kvm.sha512}.000${number}`);
const entryOfKvm = (): string => join(medium, 'store', entriesPrefix(trip.kvm.key), trip.kvm.entry.digest);

async function flipBit(path: string): Promise<void> {
  await chmod(path, 0o644);
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(10) ^ 1, 10);
  await writeFile(path, bytes);
}

const outcomes = ({ results }: MediumImport): readonly string[] =>
  results.map(({ softwareUrl, outcome, reason }) => [outcome, softwareUrl, reason].join(' ').trim()).sort();

async function trips(): Promise<readonly { readonly serial: number; readonly whole: boolean }[]> {
  const folder = join(trip.offline.root, 'trips');
  const found = [];
  for (const name of await readdir(folder, { recursive: true }).catch(() => []))
    if (name.includes('/'))
      found.push(
        JSON.parse(await readFile(join(folder, name), 'utf8')) as { serial: number; whole: boolean },
      );
  return found;
}

describe('a partial import', () => {
  it.each<[string, () => Promise<void>, string]>([
    ['a missing part', () => rm(partOfKvm(2)), 'part 2 of blob on the medium: missing'],
    [
      'a part that is cut off',
      () => truncate(partOfKvm(3), 5),
      'part 3 of blob on the medium: has 5 bytes instead of 12345',
    ],
    ['a changed part', () => flipBit(partOfKvm(1)), 'part 1 of blob on the medium: changed'],
    ['a changed entry', () => flipBit(entryOfKvm()), 'entry on the medium: changed'],
    ['a missing entry', () => rm(entryOfKvm()), 'entry on the medium: missing'],
  ])('takes what is whole of a medium with %s, and names the rest by URL', async (_what, damage, reason) => {
    await damage();
    const before = await contentsOf(medium);
    await expectCacheError(importFrom(medium, trip.offline), 'invalid-medium');
    expect(await entriesIn(trip.offline)).toEqual([]);
    const dry = await importWhatIsWhole(medium, trip.offline, { target: undefined as never });
    expect(outcomes(dry)).toEqual([`checked ${CDN}`, `refused ${KVM} ${reason}`]);
    expect(await entriesIn(trip.offline)).toEqual([]);
    const taken = await importWhatIsWhole(medium, trip.offline);
    expect(outcomes(taken)).toEqual([`imported ${CDN}`, `refused ${KVM} ${reason}`]);
    expect(taken).toMatchObject({ isWhole: false, faults: [] });
    expect(await entriesIn(trip.offline)).toEqual([trip.cdn.key]);
    expect(await hasGoodBlob(trip.offline, trip.cdn.sha512)).toBe(true);
    expect(await contentsOf(medium)).toEqual(before);
  });

  it('names a whole blob that was changed or is missing', async () => {
    await flipBit(blobOfCdn());
    expect(outcomes(await importWhatIsWhole(medium, trip.offline))).toEqual([
      `imported ${KVM}`,
      `refused ${CDN} blob on the medium: changed`,
    ]);
    await rm(blobOfCdn());
    expect(outcomes(await importWhatIsWhole(medium, trip.offline))).toEqual([
      `refused ${CDN} blob on the medium: missing`,
      `unchanged ${KVM}`,
    ]);
  });

  it('takes an entry whose damaged blob the site has', async () => {
    await importFrom(medium, trip.offline);
    await flipBit(blobOfCdn());
    await rm(partOfKvm(1));
    const taken = await importWhatIsWhole(medium, trip.offline);
    expect(outcomes(taken)).toEqual([`unchanged ${CDN}`, `unchanged ${KVM}`]);
    // No byte of a blob is read that the site has.
    expect(taken.faults).toEqual([{ path: `store/parts/${trip.kvm.sha512}.0001`, what: 'missing' }]);
    expect(taken.isWhole).toBe(false);
  });

  it('never takes what the manifest does not list', async () => {
    const url = 'https://example.com/1.0/software/other/software.cfg';
    const other = await addRelease(trip.connected, url, 1000);
    const second = join(trip.folder, 'second');
    await mkdir(second);
    await exportTo(second, trip.connected, { keys: [other.key] });
    await cp(join(second, 'store'), join(medium, 'store'), { recursive: true, force: false });
    await symlink('/etc/passwd', join(medium, 'store', 'bcache', 'link'));
    const taken = await importWhatIsWhole(medium, trip.offline);
    expect(outcomes(taken)).toEqual([`imported ${CDN}`, `imported ${KVM}`]);
    expect(taken.isWhole).toBe(false);
    expect(taken.faults.map(({ path }) => path).sort()).toEqual(
      [
        'store/bcache/link',
        `store/bcache/${other.sha512}`,
        `store/${entriesPrefix(other.key)}${other.entry.digest}`,
      ].sort(),
    );
    expect(await entriesIn(trip.offline)).toEqual([trip.cdn.key, trip.kvm.key].sort());
    expect(await trip.offline.site.blobs.stat(other.sha512)).toBeUndefined();
  });

  it.each<[string, () => Promise<void>]>([
    ['damaged', () => flipBit(join(medium, 'store', 'store.json'))],
    ['missing', () => rm(join(medium, 'store', 'store.json'))],
  ])('takes all releases of a store whose mark is %s', async (_what, damage) => {
    await damage();
    const taken = await importWhatIsWhole(medium, trip.offline);
    expect(outcomes(taken)).toEqual([`imported ${CDN}`, `imported ${KVM}`]);
    expect(taken.faults.map(({ path }) => path)).toEqual(['store/store.json']);
  });

  it('refuses a manifest that was changed, or that nobody trusted has signed', async () => {
    const path = join(medium, 'manifest.json');
    const [text, signature] = JSON.parse(await readFile(path, 'utf8')) as SignedDocument;
    await rm(partOfKvm(2));
    await writeFile(path, JSON.stringify([`${text} `, signature]));
    await expectCacheError(importWhatIsWhole(medium, trip.offline), 'untrusted', /changed after signing/);
    await writeFile(path, JSON.stringify([text, '']));
    await expectCacheError(importWhatIsWhole(medium, trip.offline), 'untrusted', /is not signed/);
    await rm(path);
    await expectCacheError(importWhatIsWhole(medium, trip.offline), 'invalid-medium', /has no manifest/);
    expect(await entriesIn(trip.offline)).toEqual([]);
  });

  it('of a medium whose store is gone takes nothing', async () => {
    await rm(join(medium, 'store'), { recursive: true });
    expect(outcomes(await importWhatIsWhole(medium, trip.offline))).toEqual([
      `refused ${CDN} entry on the medium: missing`,
      `refused ${KVM} entry on the medium: missing`,
    ]);
    expect(await trips()).toEqual([]);
  });
});

describe('the arrival of a medium that is not whole', () => {
  it('is remembered as such: no older medium follows, the same one may, whole', async () => {
    const older = join(trip.folder, 'older');
    await cp(medium, older, { recursive: true, preserveTimestamps: true });
    await addRelease(trip.connected, KVM, 1000, { version: '2' });
    await exportTo(medium, trip.connected, { split: MIB });
    const whole = join(trip.folder, 'whole');
    await cp(medium, whole, { recursive: true, preserveTimestamps: true });
    await flipBit(blobOfCdn());
    await importWhatIsWhole(medium, trip.offline);
    expect(await trips()).toMatchObject([{ serial: 2, whole: false }]);
    await expectCacheError(
      importFrom(older, trip.offline),
      'untrusted',
      /older is older than an imported medium: export 1 of \d{4}-\d\d-\d\d \d\d:\d\d UTC, signed by "connected" .*; export 2 was imported in part; to import it anyway, add --accept-older$/,
    );
    await expectCacheError(importWhatIsWhole(older, trip.offline), 'untrusted', /--accept-older/);
    await importFrom(whole, trip.offline);
    expect(await trips()).toMatchObject([{ serial: 2, whole: true }]);
    // The damaged copy takes nothing back.
    await importWhatIsWhole(medium, trip.offline);
    expect(await trips()).toMatchObject([{ serial: 2, whole: true }]);
    await expectCacheError(importFrom(older, trip.offline), 'untrusted', /export 2 was imported; /);
  });

  it('is in the log, with how much of it came', async () => {
    await rm(partOfKvm(2));
    await importWhatIsWhole(medium, trip.offline);
    const reasons = [];
    const { log } = trip.offline.site;
    for (const name of await log.list()) reasons.push((await log.read(name))?.reason);
    expect(reasons).toEqual([undefined, 'export 1 is damaged: 1 of 2 releases refused']);
  });

  it('is no arrival when nothing of it was taken', async () => {
    await flipBit(blobOfCdn());
    await rm(partOfKvm(2));
    expect((await importWhatIsWhole(medium, trip.offline)).results.map(({ outcome }) => outcome)).toEqual([
      'refused',
      'refused',
    ]);
    expect(await trips()).toEqual([]);
    expect(await collect(trip.offline.site.blobs.list())).toEqual([]);
  });
});
