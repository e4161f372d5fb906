import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createHasher } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { blobName } from '../../src/cache/layout.ts';
import { membersOf } from '../fixtures/entries.ts';
import { mountFat } from '../fixtures/fat-disk.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { exportTo, filesOf, importFrom, makeSite, MIB } from '../operations/medium/medium-site.ts';

const URL = 'https://example.com/large/software.cfg';
const PART = 4095 * MIB;
/** FAT takes one byte less. */
const SIZE = 4096 * MIB + 5;

describe.runIf(process.env['SHACACHE_HEAVY'])('a blob that FAT can not take', () => {
  it('crosses in two parts: split by itself on FAT, by --split where the kernel knows no FAT', async (context) => {
    const folder = await temporaryFolder();
    const medium = join(folder, 'medium');
    // fusefat ends at 2 GiB.
    const isFat = /\bvfat\b/.test(await readFile('/proc/filesystems', 'utf8'));
    if (isFat) await mountFat(context, join(folder, 'image'), medium, 5 * 1024 * MIB);
    else await mkdir(medium);
    const connected = await makeSite(folder, 'connected');
    const offline = await makeSite(folder, 'offline', { trust: [connected.signer.certificate] });
    const hasher = createHasher();
    const zeros = Buffer.alloc(MIB);
    for (let index = 0; index < 4096; index++) hasher.update(zeros);
    hasher.update(zeros.subarray(0, 5));
    const sha512 = hasher.digest();
    await mkdir(join(connected.root, 'bcache'));
    const file = await open(join(connected.root, blobName(sha512)), 'w');
    await file.truncate(SIZE);
    await file.close();
    const members = membersOf(URL, { sha512, size: SIZE });
    await connected.site.directory.add(keyOfSoftwareUrl(URL), connected.signer.sign(JSON.stringify(members)));

    await exportTo(medium, connected, isFat ? {} : { split: PART });
    const parts = (await filesOf(medium)).filter((name) => name.includes('/parts/'));
    expect(parts).toEqual([1, 2].map((number) => `store/parts/${sha512}.000${number}`));
    const [result] = await importFrom(medium, offline);
    expect(result).toMatchObject({ outcome: 'imported', size: SIZE });
    expect((await offline.site.blobs.stat(sha512))?.size).toBe(SIZE);
  }, 1_800_000);
});
