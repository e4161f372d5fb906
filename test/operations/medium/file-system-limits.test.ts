import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/cache/digest.ts';
import { blobName } from '../../../src/cache/layout.ts';
import { planExport } from '../../../src/operations/medium/medium-destination.ts';
import { checkFolders, limitsOf, type FileSystemLimits } from '../../../src/storage/file-system-limits.ts';
import type { SelectedEntry } from '../../../src/operations/medium/selection.ts';
import { listMedium } from '../../../src/operations/medium/inspect-medium.ts';
import { objectsOf } from '../../../src/operations/medium/medium-destination.ts';
import { createTrustedCertificates } from '../../../src/cache/signature.ts';
import { mountFat } from '../../fixtures/fat-disk.ts';
import { expectCacheError } from '../../fixtures/expected-error.ts';
import { mountTmpfs } from '../../fixtures/mounts.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { exportTo, filesOf, hasGoodBlob, importFrom, MIB, prepareTrip } from './medium-site.ts';

const GIB = 1024 * MIB;
const FAT: FileSystemLimits = {
  ...{ blockSize: 4096, split: { largestFile: 2 ** 32 - 1, partSize: 4095 * MIB }, folderSlots: 65_536 },
};
const EXT4: FileSystemLimits = {
  ...{ blockSize: 4096, split: undefined, folderSlots: undefined },
};

/** The sizes of the objects that a blob of `size` bytes becomes. */
async function sizesOf(size: number, limits: FileSystemLimits, split?: number): Promise<readonly number[]> {
  const listing = await listMedium(await temporaryFolder(), createTrustedCertificates([]));
  const sha512 = digestOf('blob');
  const one = { key: 'k', entry: { sha512, digest: digestOf('entry') }, size, carry: 'all' };
  const { missingBlobs } = planExport([one as unknown as SelectedEntry], listing, limits, split);
  expect(missingBlobs).toHaveLength(1);
  return missingBlobs.flatMap((blob) => objectsOf(blob).map((object) => object.size));
}

describe('a blob', () => {
  it('that FAT can not take is split by itself', async () => {
    expect(await sizesOf(4 * GIB - 1, FAT)).toEqual([4 * GIB - 1]);
    expect(await sizesOf(4 * GIB, FAT)).toEqual([4095 * MIB, MIB]);
    expect(await sizesOf(9 * GIB, FAT)).toEqual([4095 * MIB, 4095 * MIB, 9 * GIB - 2 * 4095 * MIB]);
    expect(await sizesOf(40 * GIB, EXT4)).toEqual([40 * GIB]);
  });

  it('is split as a person wishes, but never into parts that FAT can not take', async () => {
    expect(await sizesOf(5 * MIB, EXT4, 2 * MIB)).toEqual([2 * MIB, 2 * MIB, MIB]);
    // The empty one says that nothing is missing.
    expect(await sizesOf(4 * MIB, EXT4, 2 * MIB)).toEqual([2 * MIB, 2 * MIB, 0]);
    expect(await sizesOf(2 * MIB, EXT4, 2 * MIB)).toEqual([2 * MIB]);
    expect(await sizesOf(0, EXT4, 2 * MIB)).toEqual([0]);
    expect(await sizesOf(6 * GIB, FAT, 8 * GIB)).toEqual([4095 * MIB, 6 * GIB - 4095 * MIB]);
  });

  it('is not split into so many parts that the size must be mistyped', async () => {
    await expectCacheError(sizesOf(2 ** 40, EXT4, MIB), 'usage', /--split: .* more than 9999 parts/);
  });
});

describe('the limits of a file system', () => {
  it('are those of FAT on a disk with FAT', async (context) => {
    const folder = await temporaryFolder();
    const mounted = join(folder, 'with space', 'device');
    await mkdir(join(folder, 'with space'));
    await mountFat(context, join(folder, 'image'), mounted, 40 * MIB);
    expect(await limitsOf(mounted)).toEqual({ ...FAT, blockSize: expect.any(Number) as number });
  });

  it('are none that matter on others', async (context) => {
    const folder = await temporaryFolder();
    expect((await limitsOf(folder)).split).toBeUndefined();
    await mountTmpfs(context, join(folder, 'm'), MIB);
    expect(await limitsOf(join(folder, 'm'))).toMatchObject({
      split: undefined,
      folderSlots: undefined,
    });
  });

  it('hold for the names in a folder, too', () => {
    const names = (count: number): string[] =>
      Array.from({ length: count }, (_, index) => blobName(digestOf(String(index))));
    checkFolders(FAT, names(5900));
    expect(() => {
      checkFolders(FAT, names(6000));
    }).toThrow(/FAT can't take 6000 names in one folder \(bcache\/\); use a medium with exFAT or ext4/);
    checkFolders(EXT4, names(6000));
  });
});

it('a disk with FAT carries releases, split ones too', async (context) => {
  const trip = await prepareTrip(await temporaryFolder());
  const mounted = join(trip.folder, 'device');
  await mountFat(context, join(trip.folder, 'image'), mounted, 64 * MIB);
  await exportTo(mounted, trip.connected, { split: MIB });
  expect((await filesOf(mounted)).filter((name) => name.includes('/parts/'))).toHaveLength(3);
  expect((await importFrom(mounted, trip.offline)).map(({ outcome }) => outcome)).toEqual([
    'imported',
    'imported',
  ]);
  expect(await hasGoodBlob(trip.offline, trip.kvm.sha512)).toBe(true);
  await exportTo(mounted, trip.connected);
  expect(await importFrom(mounted, trip.offline)).toHaveLength(2);
});
