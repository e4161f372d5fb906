import { createServer } from 'node:net';
import {
  appendFile,
  link,
  mkdir,
  readdir,
  readFile,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { prepareFolder } from '../../src/operations/new-archive.ts';
import {
  examineFolder,
  isPackable,
  packReleases,
  type PackOptions,
  type PackResult,
  type PackedRelease,
} from '../../src/operations/pack-release.ts';
import { ownerTag } from '../../src/storage/temporary-name.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { treeOf, unpackByPython } from '../fixtures/awkward-files.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { opensslVerifies } from '../fixtures/signing-keys.ts';
import {
  incompressible,
  makeSoftwareRelease,
  packRelease,
  type SoftwareReleaseOptions,
} from '../fixtures/software-release.ts';
import { KVM, KVM_KEY, makeImportSite, type ImportSite } from './import-site.ts';

const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';
const FORK = 'https://lab.nexedi.com/somebody/slapos/raw/1.0.344/software/kvm/software.cfg';

let site: ImportSite;
let output: string;

beforeEach(async () => {
  site = await makeImportSite();
  output = join(site.folder, 'software');
});

const makeFolder = (url = KVM, options: SoftwareReleaseOptions = {}): Promise<string> =>
  makeSoftwareRelease(join(site.folder, 'root'), url, options);

interface Settings extends Partial<PackOptions> {
  readonly url?: string;
}

async function packAll(
  folders: readonly string[],
  { url, ...options }: Settings = {},
): Promise<readonly PackResult[]> {
  const { force = false } = options;
  const examined = [];
  for (const folder of folders) examined.push(await examineFolder(folder, { url, force }));
  if (examined.some(isPackable)) await prepareFolder(options.output ?? output);
  const results: PackResult[] = [];
  const packing = packReleases(examined, {
    ...{ output, minFreeSpace: 0, force, target: site.target },
    builtOn: { os: ['ubuntu', '22.04', 'jammy'], multiarch: 'x86_64-linux-gnu' },
    ...options,
  });
  for await (const result of packing) results.push(result);
  return results;
}

async function packOne(folder: string, settings?: Settings): Promise<PackedRelease> {
  const [result] = await packAll([folder], settings);
  if (result === undefined || result.outcome === 'refused') throw new Error(JSON.stringify(result));
  return result;
}

async function reasonOf(folder: string, settings?: Settings): Promise<string> {
  const [result] = await packAll([folder], settings);
  if (result?.outcome !== 'refused') throw new Error(`not refused: ${JSON.stringify(result)}`);
  return result.reason;
}

describe('a folder that is packed', () => {
  it('becomes an archive and a signed entry, from one pass', async () => {
    const folder = await makeFolder(KVM, { payload: 3_000_000 });
    const result = await packOne(folder);
    const bytes = await readFile(join(output, FILE));
    const sha512 = digestOf(bytes);
    expect(result).toMatchObject({
      ...{
        folder,
        path: join(output, FILE),
        file: FILE,
        outcome: 'imported',
        softwareUrl: KVM,
        key: KVM_KEY,
      },
      ...{ sha512, size: bytes.length, warnings: [] },
      platform: { os: ['ubuntu', '22.04', 'jammy'], multiarch: 'x86_64-linux-gnu' },
    });
    expect(digestOf(await readFile(join(site.store, 'bcache', sha512)))).toBe(sha512);
    const [entry, ...more] = await site.directory.entries(KVM_KEY);
    if (entry === undefined) throw new Error('no entry');
    expect(more).toEqual([]);
    expect(await opensslVerifies(site.folder, site.certificateFile, entry.pair)).toBe(true);
    expect(JSON.parse(entry.pair[0])).toMatchObject({
      ...{
        sha512,
        software_url: KVM,
        software_root: join(site.folder, 'root'),
        file: FILE,
        size: bytes.length,
      },
      ...{ multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] },
    });
    expect(await readdir(output)).toEqual([FILE]);
    await unpackByPython(join(output, FILE), join(site.folder, 'unpacked'));
    expect(treeOf(join(site.folder, 'unpacked', KVM_KEY))).toEqual(treeOf(folder));
  });

  it('is told in the log log, once', async () => {
    const folder = await makeFolder();
    const { sha512 } = await packOne(folder);
    await packOne(folder);
    expect(await recordsIn(site.store)).toEqual([
      expect.objectContaining({ action: 'pack', key: KVM_KEY, sha512, softwareUrl: KVM, source: folder }),
    ]);
  });

  it('gives the same archive again, which stays as it is, and an import of it changes nothing', async () => {
    const folder = await makeFolder();
    await packOne(folder);
    await utimes(join(output, FILE), 1000, 1000);
    const before = await contentsOf(output);
    expect(await packOne(folder)).toMatchObject({ outcome: 'unchanged', file: FILE });
    expect(await contentsOf(output)).toEqual(before);
    expect(await site.import([output])).toMatchObject([{ file: FILE, outcome: 'unchanged' }]);
    expect(await site.directory.entries(KVM_KEY)).toHaveLength(1);
  });

  it('replaces the archive of its older state, also a cut-off one, and adds the newest entry', async () => {
    const folder = await makeFolder();
    const first = await packOne(folder);
    await writeFile(join(folder, 'parts/patched'), 'a patch');
    const second = await packOne(folder);
    expect(second).toMatchObject({ outcome: 'imported', file: FILE });
    expect(digestOf(await readFile(join(output, FILE)))).toBe(second.sha512);
    const entries = await site.directory.entries(KVM_KEY);
    expect(entries.map(({ sha512 }) => sha512)).toEqual([second.sha512, first.sha512]);
    await truncate(join(output, FILE), 20_000);
    expect(await packOne(folder)).toMatchObject({ outcome: 'unchanged', file: FILE });
    expect(digestOf(await readFile(join(output, FILE)))).toBe(second.sha512);
    expect(await readdir(output)).toEqual([FILE]);
  });

  it('never replaces what else has its name', async () => {
    const fork = await makeFolder(FORK);
    await packOne(await makeFolder());
    const kvm = await readFile(join(output, FILE));
    const own = `kvm-1.0.344-${keyOfSoftwareUrl(FORK).slice(0, 8)}-ubuntu-22.04.tar.gz`;
    for (const outcome of ['imported', 'unchanged'])
      expect(await packOne(fork)).toMatchObject({ outcome, file: own });
    expect((await readFile(join(output, FILE))).equals(kvm)).toBe(true);

    await writeFile(join(output, own), 'notes of somebody');
    expect(await reasonOf(fork)).toMatch(/kvm-1\.0\.344-.* and .*hold something else; move them away/);
    expect(await readFile(join(output, own), 'utf8')).toBe('notes of somebody');
    await rm(join(output, own));
    await mkdir(join(output, own));
    expect(await reasonOf(fork)).toMatch(/hold something else/);
  });

  it('has a name for each profile', async () => {
    const py3 = KVM.replace('software.cfg', 'software-py3.cfg');
    const results = await packAll([await makeFolder(), await makeFolder(py3)]);
    expect(results).toMatchObject([{ file: FILE }, { file: 'kvm-py3-1.0.344-ubuntu-22.04.tar.gz' }]);
  });

  it('may be named by a symbolic link, or from inside', async () => {
    const folder = await makeFolder();
    await symlink(folder, join(site.folder, 'link'));
    expect(await packOne(`${join(site.folder, 'link')}/`)).toMatchObject({ outcome: 'imported' });
    expect(await packOne(join(folder, 'bin', '..'))).toMatchObject({ outcome: 'unchanged' });
  });

  it('is only packed without a store', async () => {
    const before = await contentsOf(site.store);
    const folder = await makeFolder();
    const packed = await packOne(folder, { target: undefined });
    expect(packed).toMatchObject({ outcome: 'packed', sha512: digestOf(await readFile(join(output, FILE))) });
    expect(await packOne(folder, { target: undefined })).toMatchObject({ outcome: 'unchanged' });
    expect(await contentsOf(site.store)).toEqual(before);
  });

  it('goes into the folder that is named, which is made, but not those above it', async () => {
    const folder = await makeFolder();
    await expectCacheError(
      packAll([folder], { output: join(output, 'deeper') }),
      'usage',
      /is the medium mounted/,
    );
    await writeFile(output, 'a file');
    await expectCacheError(packAll([folder]), 'usage', /software is not a folder/);
  });
});

describe('the platform', () => {
  it('is that of the programs inside, or of the machine where there are none', async () => {
    const folder = await makeFolder(KVM, { program: null });
    const os = ['debian', '12', 'bookworm'] as const;
    expect(await packOne(folder, { builtOn: { os, multiarch: 'aarch64-linux-gnu' } })).toMatchObject({
      file: 'kvm-1.0.344-debian-12-aarch64.tar.gz',
      platform: { os, multiarch: 'aarch64-linux-gnu' },
    });
    expect(await reasonOf(folder, { builtOn: { os } })).toMatch(/machine is unknown.*--multiarch/);
  });

  it('is what a person says', async () => {
    const folder = await makeFolder();
    const { platform, file } = await packOne(folder, { multiarch: 'riscv64-linux-gnu' });
    expect({ file, multiarch: platform.multiarch }).toEqual({
      file: 'kvm-1.0.344-ubuntu-22.04-riscv64.tar.gz',
      multiarch: 'riscv64-linux-gnu',
    });
  });

  it('is doubted when the programs are for another machine than this', async () => {
    const builtOn = { os: ['ubuntu', '22.04', 'jammy'] as const, multiarch: 's390x-linux-gnu' };
    const { warnings, platform } = await packOne(await makeFolder(), { builtOn });
    expect(platform.multiarch).toBe('x86_64-linux-gnu');
    expect(warnings).toEqual([expect.stringMatching(/this machine is s390x-linux-gnu; .*--os/)]);
  });

  it.each([
    ['ubuntu', '23.10', 'mantic'],
    ['debian', '', 'forky'],
  ] as const)('%s %s %s is noted where the file name cannot tell it', async (...os) => {
    const { warnings, platform } = await packOne(await makeFolder(), { builtOn: { os } });
    expect(warnings).toEqual([
      expect.stringMatching(/file name does not contain its whole system .* requires --os/),
    ]);
    expect(platform.os).toEqual(os);
  });
});

describe('a folder is refused before anything is packed', () => {
  const UNFINISHED = { completed: false };
  const SHARED = { shared: true };

  it.each([
    ['without .completed', UNFINISHED, /build is not finished: the folder has no \.completed, .*--force/],
    ['with .shared', SHARED, /parts outside its folder.*\.shared.*--force/],
    ['with both faults', { ...UNFINISHED, ...SHARED }, /\.completed.*; .*\.shared.*--force/],
    ['without a buildout.cfg', { buildoutCfg: null }, /no buildout\.cfg.*--url/],
    ['with an empty buildout.cfg', { buildoutCfg: '' }, /buildout\.cfg has no software URL.*--url/],
    [
      "with another's buildout.cfg",
      { buildoutCfg: `[buildout]\nextends = ${FORK}\n` },
      new RegExp(
        `that its buildout\\.cfg extends is ${FORK}, whose md5 is ${keyOfSoftwareUrl(FORK)}: not the folder's name`,
      ),
    ],
  ])('%s', async (_what, options, reason) => {
    const folder = await makeFolder(KVM, options);
    const before = await contentsOf(site.folder);
    const asked: number[] = [];
    expect(await reasonOf(folder, { onProgress: (_folder, bytes) => asked.push(bytes) })).toMatch(reason);
    expect(asked).toEqual([]);
    expect(await contentsOf(site.folder)).toEqual(before);
  });

  it.each([
    ['that is not there', 'nowhere', /no such folder/],
    ['that is a file', 'sign.crt', /it is not a folder/],
    [
      'with another name',
      'medium',
      /its name is not the md5 of a software URL; name a folder of the software root/,
    ],
    ['that is empty', KVM_KEY, /it is empty/],
  ])('%s', async (_what, name, reason) => {
    await mkdir(join(site.folder, KVM_KEY));
    expect(await reasonOf(join(site.folder, name))).toMatch(reason);
  });

  it('whose URL is stated wrongly', async () => {
    expect(await reasonOf(await makeFolder(), { url: FORK })).toMatch(
      /given by --url is .*: not the folder's name/,
    );
  });

  it('but not one whose URL a person tells', async () => {
    const folder = await makeFolder(KVM, { buildoutCfg: '[buildout]\nextends = site.cfg\n' });
    expect(await packOne(folder, { url: KVM })).toMatchObject({ outcome: 'imported', softwareUrl: KVM });
  });

  it('but not with force, which is noted', async () => {
    const folder = await makeFolder(KVM, { ...UNFINISHED, ...SHARED });
    expect(await packOne(folder, { force: true })).toMatchObject({
      outcome: 'imported',
      warnings: [expect.stringContaining('.completed'), expect.stringContaining('.shared')],
    });
  });

  it('and the others are packed, in their order', async () => {
    const folders = [await makeFolder(FORK, UNFINISHED), await makeFolder(), join(site.folder, 'nowhere')];
    expect(await packAll(folders)).toMatchObject([
      { folder: folders[0], outcome: 'refused' },
      { folder: folders[1], outcome: 'imported' },
      { folder: folders[2], outcome: 'refused' },
    ]);
  });
});

describe('a pack that does not end well', () => {
  it('refuses a folder that changes meanwhile, and leaves nothing', async () => {
    const folder = await makeFolder();
    const file = join(folder, '.aaa');
    await writeFile(file, incompressible(20_000_000));
    const before = Object.keys(await contentsOf(site.store));
    let grown: Promise<void> | undefined;
    // tar waits while nobody takes what it writes: it's still in the middle of the file then.
    const onProgress = (): void => {
      grown ??= appendFile(file, 'more');
    };
    expect(await reasonOf(folder, { onProgress })).toMatch(/changed while it was packed/);
    await grown;
    expect(await readdir(output)).toEqual([]);
    expect(Object.keys(await contentsOf(site.store))).toEqual(before);
  });

  it('refuses a folder that slapgrid begins to build anew meanwhile', async () => {
    const folder = await makeFolder();
    const examined = await examineFolder(folder, { force: false });
    await prepareFolder(output);
    await rm(join(folder, '.completed'));
    const options = { output, minFreeSpace: 0, force: false, target: site.target };
    const builtOn = { os: ['ubuntu', '22.04', 'jammy'] as const };
    for await (const result of packReleases([examined], { ...options, builtOn })) {
      expect(result).toMatchObject({
        outcome: 'refused',
        reason: expect.stringContaining('.completed') as string,
      });
    }
    expect(await readdir(output)).toEqual([]);
    expect(await site.directory.entries(KVM_KEY)).toEqual([]);
  });

  it('ends with an error when the disk of the archives is full, and leaves nothing', async (context) => {
    await mountTmpfs(context, output, 4_000_000);
    const folder = await makeFolder(KVM, { payload: 12_000_000 });
    await expectCacheError(packAll([folder]), 'no-space', /software/);
    expect(await readdir(output)).toEqual([]);
    expect(await readdir(join(site.store, 'tmp'))).toEqual([]);
  });

  it('ends with an error before it packs when too little would stay free', async () => {
    const folder = await makeFolder();
    const asked: number[] = [];
    const settings = {
      minFreeSpace: 2 ** 60,
      onProgress: (_folder: unknown, bytes: number) => asked.push(bytes),
    };
    await expectCacheError(packAll([folder], settings), 'no-space', /no room in .*software/);
    expect(asked).toEqual([]);
  });

  it('ends with an error when the store fails, and the archive is not there', async () => {
    await writeFile(join(site.store, 'bcache'), 'a file where the blobs should be');
    await expectCacheError(packAll([await makeFolder()]), 'storage');
    expect(await readdir(output)).toEqual([]);
  });

  it('takes away what killed ones left, and nothing else', async () => {
    const folder = await makeFolder();
    await packOne(folder);
    const alive = `.${ownerTag()}.${KVM_KEY}x.part`;
    // No process has a number as large as this.
    const dead = `.${ownerTag().replace(/-\d+-\d+$/, '-99999999-1')}.${KVM_KEY}.part`;
    for (const name of [alive, dead, '.film.part', '.a.part', 'notes']) {
      await writeFile(join(output, name), 'x');
      await utimes(join(output, name), 1000, 1000);
    }
    await packOne(folder);
    expect((await readdir(output)).sort()).toEqual([alive, '.a.part', '.film.part', FILE, 'notes'].sort());
  });
});

describe('the software root that is signed', () => {
  const rootOf = async (folder: string, settings?: Settings): Promise<unknown> => {
    await packOne(folder, settings);
    const [entry] = await site.directory.entries(KVM_KEY);
    return (JSON.parse(entry?.pair[0] ?? '{}') as Record<string, unknown>)['software_root'];
  };

  it('is the one that buildout was told, by a symbolic link or not', async () => {
    const folder = await makeFolder();
    await symlink(dirname(folder), join(site.folder, 'slapgrid'));
    const root = join(site.folder, 'slapgrid');
    expect(await rootOf(join(root, KVM_KEY))).toBe(root);
    expect(await rootOf(`${folder}/`)).toBe(dirname(folder));
  });

  it('is the one that buildout wrote down, where the folder was moved', async () => {
    const folder = await makeFolder();
    const installed = `[buildout]\nparts = a\n\n[b]\n__buildout_installed__ = \nenvironment = PATH=/opt/slapgrid/shared/xz/abc/bin:/opt/slapgrid/${KVM_KEY}/bin:/bin\n[a]\n__buildout_installed__ = /opt/slapgrid/${KVM_KEY}/parts/a\n\t/opt/slapgrid/${KVM_KEY}/bin/a\n`;
    await writeFile(join(folder, '.installed.cfg'), installed);
    const { warnings } = await packOne(folder);
    expect(warnings).toEqual([
      `built in /opt/slapgrid and moved since; nodes will unpack it to /opt/slapgrid/${KVM_KEY}`,
    ]);
    expect(await rootOf(folder)).toBe('/opt/slapgrid');
    expect(await rootOf(folder, { softwareRoot: '/srv/slapgrid' })).toBe('/srv/slapgrid');
  });
});

it('says that hard links become files of their own where a symbolic link has two names', async () => {
  const folder = await makeFolder();
  await symlink('nowhere', join(folder, 'a'));
  await link(join(folder, 'a'), join(folder, 'b'));
  const { warnings } = await packOne(folder);
  expect(warnings).toEqual([
    expect.stringMatching(
      /^the symbolic link [ab] has several names, .*; all hard links are packed as separate files/,
    ),
  ]);
});

it('leaves out the sockets of running programs, and says so', async () => {
  const folder = await makeFolder();
  const servers = ['a', 'b'].map((name) => createServer().listen(join(folder, name)));
  onTestFinished(() => {
    for (const server of servers) server.close();
  });
  const { warnings } = await packOne(folder);
  expect(warnings).toEqual([
    `skipped the socket ${KVM_KEY}/a and 1 more: only running programs have sockets`,
  ]);
});

it('packs an archive of a real medium again, to what it was', async () => {
  const archive = join(site.medium, FILE);
  const folder = await makeFolder();
  await packRelease(folder, archive);
  const root = join(site.folder, 'again');
  await unpackByPython(archive, root);
  const { path } = await packOne(join(root, KVM_KEY));
  await unpackByPython(path, join(site.folder, 'unpacked'));
  expect(treeOf(join(site.folder, 'unpacked', KVM_KEY))).toEqual(treeOf(folder));
});
