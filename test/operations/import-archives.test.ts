import {
  appendFile,
  chmod,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { basename, join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { findArchives } from '../../src/operations/find-archives.ts';
import { importArchives, type ImportResult } from '../../src/operations/import-archives.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { mountReadOnly } from '../fixtures/mounts.ts';
import { opensslVerifies } from '../fixtures/signing-keys.ts';
import { incompressible, makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { craftTar } from '../release/crafted-tar.ts';
import { KVM, KVM_KEY, makeArchive, makeImportSite, type ImportSite } from './import-site.ts';

const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';
const WRITTEN = new Date('2026-01-01T00:00:00Z');

let site: ImportSite;

beforeEach(async () => {
  site = await makeImportSite();
});

/** Imports one path, which must be refused, and asserts that the store stays without any trace of it. */
async function expectRefused(
  path: string,
  reason: RegExp,
  options: Parameters<ImportSite['import']>[1] = {},
): Promise<void> {
  const before = await contentsOf(site.store);
  const results = await site.import([path], options);
  expect(results).toEqual([
    { file: basename(path), outcome: 'refused', reason: expect.stringMatching(reason) as string },
  ]);
  expect(namesOf(await contentsOf(site.store))).toEqual(namesOf(before));
}

/** Its URL is told at its start; behind 6 MB that don't compress is a member that leads out of the folder. */
async function makeNoisyArchive(): Promise<string> {
  const path = join(site.medium, FILE);
  const noise = incompressible(6_000_000).toString('base64');
  const cron = { name: '../../etc/cron.d/x', text: '* * * * * root true\n' };
  await writeFile(path, craft({ name: `${KVM_KEY}/noise`, text: noise }, cron));
  return path;
}

const namesOf = (contents: Readonly<Record<string, string>>) => Object.keys(contents).sort();
const outcomesOf = (results: readonly ImportResult[]) => results.map(({ outcome }) => outcome);

function flip(bytes: Buffer, offset: number, bit: number): Buffer {
  const flipped = Buffer.from(bytes);
  flipped.writeUInt8(flipped.readUInt8(offset) ^ (1 << bit), offset);
  return flipped;
}

function isGzipOf(archive: Buffer, tar: Buffer): boolean {
  try {
    return gunzipSync(archive).equals(tar);
  } catch {
    return false;
  }
}

/** A gzipped tar of a release with these members besides a buildout.cfg. */
const craft = (...members: Parameters<typeof craftTar>[0]) =>
  gzipSync(
    craftTar([
      { name: KVM_KEY, type: '5' },
      { name: `${KVM_KEY}/buildout.cfg`, text: `[buildout]\nextends = ${KVM}\n` },
      ...members,
    ]),
  );

async function writeArchive(content: Uint8Array, file = FILE): Promise<string> {
  const path = join(site.medium, file);
  await writeFile(path, content);
  return path;
}

describe('an archive that is all right', () => {
  it.each([
    ['gnu', 'gzip'],
    ['python', 'gzip'],
    ['gnu', 'bzip2'],
    ['python', 'xz'],
    ['gnu', 'none'],
  ] as const)('packed by %s with %s becomes a blob and a signed entry', async (packer, compression) => {
    const path = await makeArchive(site, FILE, KVM, { packed: { packer, compression } });
    const bytes = await readFile(path);
    const [result] = await site.import([path]);
    expect(result).toEqual({
      file: FILE,
      outcome: 'imported',
      softwareUrl: KVM,
      key: KVM_KEY,
      platform: { multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] },
      sha512: digestOf(bytes),
      size: bytes.length,
      warnings: [],
    });
    expect(await readFile(join(site.store, 'bcache', digestOf(bytes)))).toEqual(bytes);
    expect(namesOf(await contentsOf(join(site.store, 'tmp')))).toEqual([]);
  });

  it('has an entry with the members of protocol.md, which openssl verifies', async () => {
    const path = await makeArchive(site, FILE, KVM);
    await site.import([path], { now: () => new Date('2026-01-02T03:04:05Z') });
    const [entry, ...more] = await site.directory.entries(KVM_KEY);
    expect(more).toEqual([]);
    const bytes = await readFile(path);
    expect(JSON.parse(entry?.pair[0] ?? '')).toEqual({
      sha512: digestOf(bytes),
      software_url: KVM,
      software_root: '/opt/slapgrid',
      multiarch: 'x86_64-linux-gnu',
      os: ['ubuntu', '22.04', 'jammy'],
      file: FILE,
      size: bytes.length,
      creation_date: '2026-01-02T03:04:05.000Z',
    });
    expect(await opensslVerifies(site.folder, site.certificateFile, entry?.pair ?? ['', ''])).toBe(true);
  });

  it.each([
    ['kvm-1.0-fedora-41.tar.gz', ['fedora', '41', ''], 'x86_64-redhat-linux'],
    ['kvm-1.0-opensuse-leap-15.6.tar.gz', ['opensuse', '15.6', ''], 'x86_64-suse-linux'],
    ['kvm-1.0-ol-9.4-x86_64.tar.gz', ['oracle', '9.4', ''], 'x86_64-redhat-linux'],
  ])('named %s gets the platform that a node there has', async (file, os, multiarch) => {
    const path = await makeArchive(site, file, KVM);
    expect(await site.import([path])).toMatchObject([{ outcome: 'imported', platform: { os, multiarch } }]);
  });

  it('is found by its URL from --url, from [software] or from inside', async () => {
    const silent = await makeArchive(site, 'kvm-1.0-debian-12.tar.gz', KVM, { buildoutCfg: null });
    await expectRefused(silent, /its software URL is unknown.*--url.*\[software\] kvm-1\.0 = URL/);
    expect(outcomesOf(await site.import([silent], { url: KVM }))).toEqual(['imported']);
    for (const name of ['kvm-1.0', 'kvm-1.0-debian-12']) {
      expect(outcomesOf(await site.import([silent], { software: new Map([[name, KVM]]) }))).toEqual([
        'unchanged',
      ]);
    }
  });

  it('is for the platform that was said rather than told by its name', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const [result] = await site.import([path], {
      os: ['debian', '12', 'bookworm'],
      multiarch: 'aarch64-linux-gnu',
    });
    expect(result).toMatchObject({
      platform: { multiarch: 'aarch64-linux-gnu', os: ['debian', '12', 'bookworm'] },
    });
  });

  it('that was built with parts outside its folder is imported with a warning', async () => {
    const path = await makeArchive(site, FILE, KVM, { shared: true });
    const [result] = await site.import([path]);
    expect(result).toMatchObject({ outcome: 'imported', warnings: [expect.stringContaining('.shared')] });
  });

  it.each([false, true])('changes nothing when it comes twice, read again: %s', async (recheck) => {
    const path = await makeArchive(site, FILE, KVM, { shared: true });
    const [first] = await site.import([path]);
    const before = namesOf(await contentsOf(site.store));
    const [entry] = await site.directory.entries(KVM_KEY);
    const [again] = await site.import([path], { recheck });
    expect(again).toEqual({ ...first, outcome: 'unchanged' });
    expect(namesOf(await contentsOf(site.store))).toEqual(before);
    expect(await site.directory.entries(KVM_KEY)).toEqual([entry]);
  });

  it('gets a second entry for a second platform, and a newer build comes first', async () => {
    const path = await makeArchive(site, FILE, KVM);
    await site.import([path]);
    expect(outcomesOf(await site.import([path], { os: ['debian', '12', 'bookworm'] }))).toEqual(['imported']);
    const newer = await makeArchive(site, 'newer-ubuntu-22.04.tar.gz', KVM, { payload: 1000 });
    const [result] = await site.import([newer]);
    const entries = await site.directory.entries(KVM_KEY);
    expect(entries).toHaveLength(3);
    expect(result).toMatchObject({ sha512: entries[0]?.sha512 });
  });

  it('replaces a blob that has gone bad on the disk', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const digest = digestOf(await readFile(path));
    await site.import([path]);
    const blob = join(site.store, 'bcache', digest);
    await chmod(blob, 0o644);
    await writeFile(blob, 'bad');
    expect(outcomesOf(await site.import([path]))).toEqual(['unchanged']);
    expect(digestOf(await readFile(blob))).toBe(digest);
  });

  it('is not read again when nothing has changed, unless that is asked for', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const { size } = await stat(path);
    await utimes(path, WRITTEN, WRITTEN);
    await site.import([path]);
    // Nobody can see from outside that it has changed.
    await writeFile(path, Buffer.alloc(size));
    await utimes(path, WRITTEN, WRITTEN);
    const told: number[] = [];
    const onProgress = (_archive: unknown, bytes: number) => told.push(bytes);
    expect(outcomesOf(await site.import([path], { onProgress }))).toEqual(['unchanged']);
    expect(told).toEqual([size]);
    expect(outcomesOf(await site.import([path], { recheck: true }))).toEqual(['refused']);
  });

  it('is read again when anything that decides on it has changed', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const { size } = await stat(path);
    await utimes(path, WRITTEN, WRITTEN);
    await site.import([path]);
    await writeFile(path, Buffer.alloc(size));
    expect(outcomesOf(await site.import([path]))).toEqual(['refused']);
    await utimes(path, WRITTEN, WRITTEN);
    expect(outcomesOf(await site.import([path]))).toEqual(['unchanged']);
    for (const options of [
      { os: ['debian', '12', 'bookworm'] },
      { multiarch: 'aarch64-linux-gnu' },
      { url: KVM },
      { software: new Map([['kvm-1.0.344', KVM]]) },
      { softwareRoot: '/srv/slapgrid' },
    ] as const) {
      expect(outcomesOf(await site.import([path], options)), JSON.stringify(options)).toEqual(['refused']);
    }
    const copy = join(site.medium, 'copy-ubuntu-22.04.tar.gz');
    await rename(path, copy);
    expect(outcomesOf(await site.import([copy]))).toEqual(['refused']);
  });

  it('is told to be for another machine than its programs, which is believed, with a word about it', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const [result] = await site.import([path], { multiarch: 'aarch64-linux-gnu' });
    expect(result).toMatchObject({
      outcome: 'imported',
      platform: { multiarch: 'aarch64-linux-gnu' },
      warnings: ['its programs are for x86_64-linux-gnu, but --multiarch is aarch64-linux-gnu'],
    });
    const [right] = await site.import([path], { multiarch: 'x86_64-linux-gnu' });
    expect(right).toMatchObject({ outcome: 'imported', warnings: [] });
  });

  it('is signed anew for another software root, and not again for the same', async () => {
    const path = await makeArchive(site, FILE, KVM);
    for (const [softwareRoot, outcome] of [
      ['/opt/wrong', 'imported'],
      ['/opt/slapgrid', 'imported'],
      ['/opt/slapgrid', 'unchanged'],
      ['/opt/wrong', 'unchanged'],
    ] as const)
      expect(outcomesOf(await site.import([path], { softwareRoot, recheck: true })), softwareRoot).toEqual([
        outcome,
      ]);
  });

  it.each([
    ['its entry is', () => join('bdir', KVM_KEY)],
    ['its blob is', () => 'bcache'],
    ['the note of its import is', () => 'imports'],
  ])('comes back when %s gone from the store', async (_what, place) => {
    const path = await makeArchive(site, FILE, KVM);
    await site.import([path]);
    // What is written anew is recorded anew.
    const namesInStore = async (): Promise<readonly string[]> =>
      namesOf(await contentsOf(site.store)).filter(
        (name) => !name.includes(KVM_KEY) && !name.startsWith('log/'),
      );
    const before = await namesInStore();
    await rm(join(site.store, place()), { recursive: true });
    const [result] = await site.import([path]);
    expect(['imported', 'unchanged']).toContain(result?.outcome);
    expect(await namesInStore()).toEqual(before);
    expect(await site.directory.entries(KVM_KEY)).toHaveLength(1);
  });

  it.each(['', '{}', 'null', ' '.repeat(100_000)])(
    'is read again when the note of its import is damaged',
    async (text) => {
      const path = await makeArchive(site, FILE, KVM);
      await site.import([path]);
      const [note = ''] = await readdir(join(site.store, 'imports'));
      await rm(join(site.store, 'imports', note));
      await writeFile(join(site.store, 'imports', note), text);
      expect(outcomesOf(await site.import([path]))).toEqual(['unchanged']);
      expect((await readFile(join(site.store, 'imports', note))).length).toBeLessThan(10_000);
    },
  );

  it('is refused for what stands behind megabytes of noise: what is signed has been read whole', async () => {
    const path = await makeNoisyArchive();
    // Nothing more has to be known of it to identify it.
    await expectRefused(path, /\.\.\/\.\.\/etc\/cron\.d\/x/, { multiarch: 'x86_64-linux-gnu' });
    expect(await site.directory.entries(KVM_KEY)).toEqual([]);
  });

  it('comes into the list in the order of the archives, however many are read at once', async () => {
    const count = 12;
    for (let number = 0; number < count; number++) {
      // The first ones are the largest: they are the last to be read.
      const payload = (count - number) * 100_000;
      await makeArchive(site, `kvm${String(number).padStart(2, '0')}-ubuntu-22.04.tar.gz`, KVM, { payload });
    }
    const results = await site.import([site.medium]);
    expect(results.map(({ file }) => file)).toEqual((await readdir(site.medium)).sort());
    const digests = results.map((result) => (result.outcome === 'refused' ? result.reason : result.sha512));
    expect((await site.directory.entries(KVM_KEY)).map(({ sha512 }) => sha512)).toEqual(digests.reverse());
    expect(await readdir(join(site.store, 'tmp'))).toEqual([]);
  });

  it('tells its progress, to the last byte', async () => {
    const path = await makeArchive(site, FILE, KVM, { payload: 3_000_000 });
    const told: number[] = [];
    await site.import([path], { onProgress: (_archive, bytes) => told.push(bytes) });
    expect(told.length).toBeGreaterThan(2);
    expect(told.reduce((sum, bytes) => sum + bytes, 0)).toBe((await readFile(path)).length);
  });
});

describe('an archive that is refused leaves no trace', () => {
  it('when it is cut off, wherever', async () => {
    for (const compression of ['gzip', 'none', 'xz', 'bzip2'] as const) {
      const whole = await readFile(
        await makeArchive(site, `whole ${compression}`, KVM, { packed: { compression }, payload: 20_000 }),
      );
      // A plain tar may lose zeros behind its end mark.
      const end = compression === 'none' ? whole.length - 10_240 : whole.length;
      const offsets = [
        1,
        2,
        10,
        300,
        512,
        513,
        1024,
        end >> 2,
        end >> 1,
        end - 600,
        end - 9,
        end - 8,
        end - 4,
        end - 1,
      ].filter((_offset, index) => isHeavy || index % 3 === 1);
      for (const offset of offsets.slice(0, compression === 'gzip' || compression === 'none' ? 99 : 5)) {
        await expectRefused(await writeArchive(whole.subarray(0, offset)), /./);
      }
    }
  });

  it('when it is cut off between two files of a folder that is imported as a whole', async () => {
    const good = await makeArchive(site, 'a-ubuntu-22.04.tar.gz', KVM);
    const other = 'https://example.com/other/software.cfg';
    await makeArchive(site, 'c-ubuntu-22.04.tar.gz', other);
    await writeArchive((await readFile(good)).subarray(0, -5), 'b-ubuntu-22.04.tar.gz');
    const results = await site.import([site.medium]);
    expect(results.map(({ file, outcome }) => [file, outcome])).toEqual([
      ['a-ubuntu-22.04.tar.gz', 'imported'],
      ['b-ubuntu-22.04.tar.gz', 'refused'],
      ['c-ubuntu-22.04.tar.gz', 'imported'],
    ]);
    const { length } = namesOf(await contentsOf(join(site.store, 'bcache')));
    expect(length).toBe(2);
  });

  it('when one bit of it is flipped', async () => {
    const whole = await readFile(await makeArchive(site, FILE, KVM, { payload: 20_000 }));
    const tar = gunzipSync(whole);
    const flips = isHeavy ? 24 : 6;
    let refused = 0;
    for (let count = 0; count < flips; count++) {
      // The ten bytes of gzip's own header are covered by no checksum.
      const offset = 10 + Math.floor(((whole.length - 10) * (count + 0.5)) / flips);
      const candidates = Array.from({ length: 8 }, (_one, more) => flip(whole, offset, (count + more) % 8));
      // Repeated text may lie at two distances, either of which leads to the same tar: then another bit.
      const flipped = candidates.find((each) => !isGzipOf(each, tar)) ?? whole;
      await expectRefused(await writeArchive(flipped), /./);
      refused++;
    }
    expect(refused).toBe(flips);
  });

  it('when bytes follow it', async () => {
    const path = await makeArchive(site, FILE, KVM);
    await appendFile(path, 'more');
    await expectRefused(path, /./);
  });

  it('when it is empty', async () => {
    await expectRefused(await writeArchive(Buffer.alloc(0)), /empty/);
  });

  it('when it is something else under the name of an archive', async () => {
    await expectRefused(await writeArchive(Buffer.from('<html>404 Not Found</html>'.repeat(100))), /./);
    await expectRefused(await writeArchive(gzipSync('no tar, but text. '.repeat(1000))), /./);
    await expectRefused(await writeArchive(await readFile('/bin/true')), /./);
  });

  it('when its compression is one that nodes cannot read', async () => {
    const path = join(site.medium, 'kvm-ubuntu-22.04.tar.zst');
    await writeFile(path, Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(1000)]));
    await expectRefused(path, /zstd|Zstandard/i);
  });

  it('when its folder is that of another URL, with both values', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const other = KVM.replace('344', '345');
    const both = new RegExp(`${keyOfSoftwareUrl(other)}.*${KVM_KEY}`);
    await expectRefused(path, both, { url: other });
    await expectRefused(path, /--url/, { url: other });
    await expectRefused(path, /\[software\] for kvm-1\.0\.344/, {
      software: new Map([['kvm-1.0.344', other]]),
    });
  });

  it('when its buildout.cfg names another URL than its folder', async () => {
    const buildoutCfg = '[buildout]\nextends = https://example.com/software.cfg\n';
    const path = await makeArchive(site, FILE, KVM, { buildoutCfg });
    await expectRefused(
      path,
      new RegExp(`${keyOfSoftwareUrl('https://example.com/software.cfg')}.*${KVM_KEY}`),
    );
  });

  it('when its folder is a foreign one', async () => {
    const folder = join(site.folder, 'my-software');
    await mkdir(folder);
    await writeFile(join(folder, 'buildout.cfg'), `[buildout]\nextends = ${KVM}\n`);
    await packRelease(folder, join(site.medium, FILE));
    await expectRefused(join(site.medium, FILE), /my-software/);
  });

  it.each([
    ['several folders', [{ name: keyOfSoftwareUrl('other'), type: '5' }]],
    ['a file beside its folder', [{ name: 'README', text: 'x' }]],
    ['an absolute name', [{ name: '/etc/cron.d/evil', text: 'x' }]],
    ['a way up', [{ name: `${KVM_KEY}/../../etc/passwd`, text: 'x' }]],
    ['a way up from the top', [{ name: '../evil', text: 'x' }]],
    ['a hard link to outside', [{ name: `${KVM_KEY}/x`, type: '1', target: '/etc/shadow' }]],
  ])('when it holds %s', async (_what, members) => {
    await expectRefused(await writeArchive(craft(...members)), /./);
  });

  it('when nobody tells its operating system, saying which option to give', async () => {
    const path = await makeArchive(site, 'kvm-1.0.344.tar.gz', KVM);
    await expectRefused(
      path,
      /operating system is unknown.*--os ubuntu-22\.04.*kvm-1\.0\.344-ubuntu-22\.04\.tar\.gz/,
    );
    expect(outcomesOf(await site.import([path], { os: ['ubuntu', '22.04', 'jammy'] }))).toEqual(['imported']);
  });

  it('of a system whose codename is not known, rather than sign it with none', async () => {
    const path = await makeArchive(site, 'kvm-1.0-rocky-9.3.tar.gz', KVM);
    await expectRefused(
      path,
      /codename of its system, rocky 9\.3, is not known: give it with --os "rocky,9\.3,CODENAME"/,
    );
    const os = ['rocky', '9.3', 'Blue Onyx'] as const;
    expect(await site.import([path], { os })).toMatchObject([{ outcome: 'imported', platform: { os } }]);
  });

  it('when nobody tells its machine, or its name contradicts the programs inside', async () => {
    const path = await makeArchive(site, FILE, KVM, { program: null });
    await expectRefused(path, /the machine is unknown.*--multiarch/);
    const wrong = await makeArchive(site, 'kvm-ubuntu-22.04-aarch64.tar.gz', KVM);
    await expectRefused(wrong, /aarch64-linux-gnu.*x86_64-linux-gnu/);
  });

  it('when it cannot be read, and the rest is imported', async () => {
    const results = await site.import([await makeArchive(site, FILE, KVM)]);
    expect(outcomesOf(results)).toEqual(['imported']);
    await symlink('nowhere', join(site.medium, 'a-gone.tar.gz'));
    const all = await site.import([site.medium]);
    expect(all.map(({ file, outcome }) => [file, outcome])).toEqual([
      ['a-gone.tar.gz', 'refused'],
      [FILE, 'unchanged'],
    ]);
    expect(all[0]).toMatchObject({ reason: expect.stringContaining('ENOENT') as string });
  });
});

describe('an import that writes nothing where it should not', () => {
  it('writes nothing at all in a dry run, and checks everything', async () => {
    const path = await makeArchive(site, FILE, KVM);
    const broken = await writeArchive((await readFile(path)).subarray(0, -5), 'b-ubuntu-22.04.tar.gz');
    const before = await contentsOf(site.folder);
    const options = { software: new Map<string, string>(), softwareRoot: '/opt/slapgrid' };
    const results: ImportResult[] = [];
    for await (const result of importArchives(await findArchives([path, broken]), options))
      results.push(result);
    expect(outcomesOf(results)).toEqual(['checked', 'refused']);
    expect(results[0]).toMatchObject({ sha512: digestOf(await readFile(path)), key: KVM_KEY });
    expect(await contentsOf(site.folder)).toEqual(before);
  });

  it('never writes to the medium', async () => {
    await makeArchive(site, FILE, KVM);
    await writeArchive(Buffer.from('x'), 'broken.tar.gz');
    const before = await contentsOf(site.medium);
    expect(outcomesOf(await site.import([site.medium]))).toEqual(['refused', 'imported']);
    expect(await contentsOf(site.medium)).toEqual(before);
  });

  it('takes a medium that is mounted read-only', async (context) => {
    await makeArchive(site, FILE, KVM);
    await mountReadOnly(context, site.medium, join(site.folder, 'mounted'));
    await expect(writeFile(join(site.folder, 'mounted', 'x'), '')).rejects.toMatchObject({ code: 'EROFS' });
    expect(outcomesOf(await site.import([join(site.folder, 'mounted')]))).toEqual(['imported']);
  });

  it('ends with an error before it copies when there is no room', async () => {
    const full = await makeImportSite(2 ** 60);
    const path = await makeArchive(full, FILE, KVM);
    const told: number[] = [];
    const importing = full.import([path], { onProgress: (_archive, bytes) => told.push(bytes) });
    await expectCacheError(importing, 'no-space', new RegExp(`^${FILE}: no room`));
    expect(told).toEqual([]);
    expect(namesOf(await contentsOf(full.store))).toEqual(['store.json', 'tmp']);
  });

  it('leaves nothing of the archives that were read ahead when it is given up', async () => {
    for (const number of [1, 2, 3, 4]) {
      await makeArchive(site, `kvm${number}-ubuntu-22.04.tar.gz`, KVM, { payload: 500_000 * number });
    }
    const first = join(site.medium, 'kvm1-ubuntu-22.04.tar.gz');
    await rm(join(site.store, 'bcache'), { recursive: true, force: true });
    await writeFile(join(site.store, 'bcache'), 'a file where the blobs should be');
    await expectCacheError(site.import([first, site.medium]), 'storage');
    expect(await readdir(join(site.store, 'tmp'))).toEqual([]);
  });

  it('ends with an error when the store fails, and does not call that a fault of the archive', async () => {
    const path = await makeArchive(site, FILE, KVM);
    await writeFile(join(site.store, 'bcache'), 'a file where the blobs should be');
    await expectCacheError(site.import([path]), 'storage');
    expect(namesOf(await contentsOf(join(site.store, 'tmp')))).toEqual([]);
  });
});

it('unpacks on a node to what was packed', async () => {
  const release = await makeSoftwareRelease(join(site.folder, 'built'), KVM, { payload: 100_000 });
  await packRelease(release, join(site.medium, FILE));
  const [result] = await site.import([site.medium]);
  if (result?.outcome !== 'imported') throw new Error(JSON.stringify(result));
  const script = 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])';
  const unpacked = join(site.folder, 'unpacked');
  execFileSync('python3', ['-c', script, join(site.store, 'bcache', result.sha512), unpacked], {
    stdio: 'pipe',
  });
  execFileSync('diff', ['-r', '--no-dereference', release, join(unpacked, KVM_KEY)], { stdio: 'pipe' });
});

describe('a store with a damaged entry', () => {
  it('is replaced by importing the same archive again, and the others are imported too', async () => {
    const site = await makeImportSite();
    const archive = await makeArchive(site, 'kvm-ubuntu-22.04.tar.gz', KVM);
    await site.import([archive]);
    const folder = join(site.store, 'bdir', KVM_KEY);
    const [name = ''] = await readdir(folder);
    await truncate(join(folder, name));
    await makeArchive(site, 'other-ubuntu-22.04.tar.gz', 'https://example.com/software.cfg');
    const results = await site.import([site.medium]);
    expect(results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
    const [entry] = await site.directory.entries(KVM_KEY);
    expect(entry && site.trusted.signerOf(entry)).toBeDefined();
  });
});
