import { execFile, execFileSync } from 'node:child_process';
import {
  chmod,
  cp,
  link,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SignedDocument } from '../../../src/cache/signature.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { cacheErrorOf, expectCacheError } from '../../fixtures/expected-error.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import {
  addRelease,
  entriesIn,
  exportTo,
  importAll,
  importWhatIsWhole,
  KVM,
  MIB,
  prepareTrip,
  type Trip,
} from './medium-site.ts';

const JUDGE = fileURLToPath(new URL('../../judges/check_medium.py', import.meta.url));
const PACKAGES = {
  node: 'a program',
  'debs/slapos-node_1.11.0+1.0.352.deb': 'a package',
  'Ñandú 1.tgz': 'x',
};

let trip: Trip;
let medium: string;
/** Where the offline site keeps packages. */
let packages: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
  packages = join(dirname(trip.offline.root), 'packages');
  for (const [name, content] of Object.entries(PACKAGES)) await put(`packages/${name}`, content);
});

async function put(name: string, content: string): Promise<void> {
  await mkdir(dirname(join(medium, name)), { recursive: true });
  await writeFile(join(medium, name), content);
}

async function judge(): Promise<string> {
  const certificate = join(medium, 'miscellaneous', 'sign.crt');
  const { stdout } = await promisify(execFile)('python3', [JUDGE, medium, certificate]).catch(
    (error: unknown) => error as { stdout: string },
  );
  return stdout.trim();
}

async function resign(change: (content: Record<string, unknown>) => unknown): Promise<void> {
  const path = join(medium, 'manifest.json');
  const [text] = JSON.parse(await readFile(path, 'utf8')) as SignedDocument;
  const changed = JSON.stringify(change(JSON.parse(text) as Record<string, unknown>));
  await writeFile(path, JSON.stringify(trip.connected.signer.signDocument(changed)));
}

/** The files in the site's folder of packages. */
async function copied(): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {};
  for (const item of await readdir(packages, { recursive: true, withFileTypes: true }).catch(() => [])) {
    const path = join(item.parentPath, item.name);
    if (item.isFile()) found[path.slice(packages.length + 1)] = await readFile(path, 'utf8');
  }
  return found;
}

describe('files in packages/ of a medium', () => {
  it('are in the manifest, verified by an import and copied beside the store', async () => {
    expect(await exportTo(medium, trip.connected)).toMatchObject({ packages: 3 });
    expect(await judge()).toBe('8 files, 2 releases');
    const { results } = await importPackages();
    expect(results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
    expect(await copied()).toEqual(PACKAGES);
    // What a medium brings is not executable before a person says so.
    expect((await stat(join(packages, 'node'))).mode & 0o777).toBe(0o644);
    const before = (await stat(join(packages, 'node'))).ino;
    expect((await importPackages()).packages).toHaveLength(3);
    expect((await stat(join(packages, 'node'))).ino).toBe(before);
  });

  it('are verified by openssl and sha512sum alone, before any program of the medium runs', async () => {
    await exportTo(medium, trip.connected);
    const script = `
      openssl x509 -in miscellaneous/sign.crt -noout -pubkey > ../key.pub &&
      openssl dgst -sha512 -verify ../key.pub -signature packages.sha512.sig packages.sha512 &&
      sha512sum --check --strict --quiet packages.sha512`;
    const check = (): string =>
      execFileSync('bash', ['-c', script], { cwd: medium, stdio: 'pipe' }).toString();
    expect(check()).toBe('Verified OK\n');
    await writeFile(join(medium, 'packages', 'node'), 'a Program');
    expect(check).toThrow(/1 computed checksum did NOT match/);
    await put('packages/node', PACKAGES.node);
    await writeFile(join(medium, 'packages.sha512'), '');
    expect(check).toThrow();
  });

  it('are exported without any new release, and removed ones are forgotten', async () => {
    await exportTo(medium, trip.connected);
    await put('packages/new.deb', 'new');
    await rm(join(medium, 'packages', 'debs'), { recursive: true });
    await writeFile(join(medium, 'packages', 'node'), 'another program');
    await expectCacheError(importPackages(), 'invalid-medium', /packages\/new\.deb: not in the manifest/);
    const { seal } = await exportTo(medium, trip.connected);
    expect(seal?.packagesNote).toBe(
      [
        'note: packages/ was changed since the last export, and is signed as it is now:',
        '  packages/new.deb: new',
        '  packages/node: other bytes',
        '  packages/debs/slapos-node_1.11.0+1.0.352.deb: removed',
      ].join('\n'),
    );
    expect(await judge()).toBe('8 files, 2 releases');
    await importPackages();
    expect(await copied()).toEqual({
      ...{ node: 'another program', 'new.deb': 'new', 'Ñandú 1.tgz': 'x' },
    });
    for (const name of await readdir(join(medium, 'packages')))
      await rm(join(medium, 'packages', name), { recursive: true });
    await addRelease(trip.connected, KVM, 1000, { version: '2' });
    await exportTo(medium, trip.connected);
    expect((await readdir(medium)).sort()).toEqual(
      ['manifest.json', 'miscellaneous', 'packages', 'software', 'store'].sort(),
    );
    // A site keeps what it has.
    await importPackages();
    expect(Object.keys(await copied())).toHaveLength(3);
  });

  it('are not covered on a medium of an earlier version, which is imported without them', async () => {
    await exportTo(medium, trip.connected);
    // JSON.stringify leaves it out.
    await resign((content) => ({ ...content, packages: undefined }));
    const taken = await importPackages();
    expect(taken).toMatchObject({ isWhole: true, packages: undefined });
    expect(await entriesIn(trip.offline)).toHaveLength(2);
    expect(await copied()).toEqual({});
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('are read in a dry run, and not copied', async () => {
    await exportTo(medium, trip.connected);
    await importPackages({ target: undefined as never });
    expect(await copied()).toEqual({});
    await writeFile(join(medium, 'packages', 'node'), 'a Program');
    await expectCacheError(
      importPackages({ target: undefined as never }),
      'invalid-medium',
      /^ {2}packages\/node: changed\nIt was .*\. Where it was made, copy the original files to packages\/, then run: cache export --recheck \/\S+$/m,
    );
  });

  it('need room beside the store, which is looked at before anything is copied', async () => {
    await exportTo(medium, trip.connected);
    for (const name of Object.keys(PACKAGES)) await truncate(join(medium, 'packages', name), 2 ** 40);
    await resign((content) => ({
      ...content,
      packages: (content['packages'] as object[]).map((file) => ({ ...file, size: 2 ** 40 })),
    }));
    await expectCacheError(importPackages(), 'no-space', /needs 3[\d.]+ MiB/);
    expect(await copied()).toEqual({});
    expect(await entriesIn(trip.offline)).toEqual([]);
  });
});

describe('a file of packages/', () => {
  const DAMAGES: readonly [string, () => Promise<void>, RegExp][] = [
    ['changed', () => writeFile(join(medium, 'packages', 'node'), 'a Program'), /changed$/],
    ['missing', () => rm(join(medium, 'packages', 'node')), /missing$/],
    ['cut off', () => truncate(join(medium, 'packages', 'node'), 3), /has 3 bytes instead of 9$/],
  ];

  it.each(DAMAGES)(
    'that is %s is named, and nothing of the medium is taken',
    async (_what, damage, reason) => {
      await exportTo(medium, trip.connected);
      await damage();
      const { code, message } = await cacheErrorOf(importPackages());
      expect(code).toBe('invalid-medium');
      expect(message).toMatch(new RegExp(`^ {2}packages/node: ${reason.source}`, 'm'));
      expect(await entriesIn(trip.offline)).toEqual([]);
      expect(await copied()).toEqual({});
    },
  );

  it.each(DAMAGES)('that is %s is left out by a partial import', async (_what, damage) => {
    await exportTo(medium, trip.connected);
    await damage();
    await put('packages/extra', 'x');
    const taken = await importWhatIsWhole(medium, trip.offline, { packagesFolder: packages });
    expect(taken.results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
    expect(taken.faults.map(({ path }) => path).sort()).toEqual(['packages/extra', 'packages/node']);
    const others = Object.entries(PACKAGES).filter(([name]) => name !== 'node');
    expect(await copied()).toEqual(Object.fromEntries(others));
  });

  it.each<[string, (path: string) => Promise<void>]>([
    ['link', (path) => symlink('/etc/passwd', path)],
    ['link to a folder', (path) => symlink('/etc', path)],
    [
      'pipe',
      async (path) => {
        await promisify(execFile)('mkfifo', [path]);
      },
    ],
  ])('that is a %s is neither exported nor imported', async (_what, make) => {
    const path = join(medium, 'packages', 'node');
    const before = await readFile(path);
    await rm(path);
    await make(path);
    await expectCacheError(
      exportTo(medium, trip.connected),
      'invalid-medium',
      /packages\/node: is no file; a medium carries files only/,
    );
    await rm(path);
    await writeFile(path, before);
    await exportTo(medium, trip.connected);
    await rm(path);
    await make(path);
    await expectCacheError(
      importPackages(),
      'invalid-medium',
      /packages\/node: (missing|not in the manifest)/,
    );
    expect(await copied()).toEqual({});
  });

  it('behind a folder that is a link is neither exported nor imported', async () => {
    const elsewhere = join(trip.folder, 'elsewhere');
    await cp(join(medium, 'packages'), elsewhere, { recursive: true });
    await exportTo(medium, trip.connected);
    const before = await contentsOf(elsewhere);
    for (const [name, target] of [
      ['packages', elsewhere],
      ['packages/debs', join(elsewhere, 'debs')],
    ] as const) {
      await rm(join(medium, name), { recursive: true });
      await symlink(target, join(medium, name));
      await expectCacheError(importPackages(), 'invalid-medium', /packages/);
      await expectCacheError(exportTo(medium, trip.connected), 'invalid-medium', /packages/);
      await rm(join(medium, name));
      await cp(elsewhere, join(medium, 'packages'), { recursive: true });
    }
    expect(await contentsOf(elsewhere)).toEqual(before);
    expect(await copied()).toEqual({});
  });

  it.each(['line\nfeed', 'escape\u001b[2J', 'back\\slash'])('named %j is not exported', async (name) => {
    await put(`packages/${name}`, 'x');
    await expectCacheError(
      exportTo(medium, trip.connected),
      'invalid-medium',
      /its name has a control character or a backslash; rename it/,
    );
  });

  it.each([
    'packages/../../../etc/passwd',
    'packages//etc/passwd',
    'packages/./x',
    'packages/',
    'packages/a/..',
    'packages/line\nfeed',
    'packages/back\\slash',
    '/etc/passwd',
    'store/x',
  ])('listed as %j is refused, although the signature is right', async (path) => {
    await exportTo(medium, trip.connected);
    await resign((content) => ({
      ...content,
      packages: (content['packages'] as object[]).map((file, index) =>
        index === 0 ? { ...file, path } : file,
      ),
    }));
    await expectCacheError(importPackages(), 'invalid-medium', /is no file of packages\//);
    await expectCacheError(
      importWhatIsWhole(medium, trip.offline, { packagesFolder: packages }),
      'invalid-medium',
    );
  });

  it('replaces an older one of the site, never through a link in the place of the new one', async () => {
    await exportTo(medium, trip.connected);
    const precious = join(trip.folder, 'precious');
    await writeFile(precious, 'precious');
    await mkdir(packages, { recursive: true });
    await symlink(precious, join(packages, 'node'));
    await link(precious, join(packages, 'Ñandú 1.tgz'));
    await writeFile(join(packages, 'own'), 'of the site');
    await importPackages();
    expect(await copied()).toEqual({ ...PACKAGES, own: 'of the site' });
    expect(await readFile(precious, 'utf8')).toBe('precious');
    // Nothing unfinished is left.
    expect((await readdir(packages)).sort()).toEqual(['debs', 'node', 'own', 'Ñandú 1.tgz'].sort());
  });

  it('arrives with its medium: no older one brings older packages back', async () => {
    await exportTo(medium, trip.connected);
    const older = join(trip.folder, 'older');
    await cp(medium, older, { recursive: true, preserveTimestamps: true });
    await importPackages();
    await writeFile(join(medium, 'packages', 'node'), 'another program');
    await exportTo(medium, trip.connected);
    await importPackages();
    medium = older;
    await expectCacheError(importPackages(), 'untrusted', /--accept-older/);
    expect((await copied())['node']).toBe('another program');
  });
});

it('an export reads packages back from the disk', async () => {
  await put('packages/large', 'x'.repeat(MIB));
  let bytes = 0;
  const onProgress = (label: string, count: number): void => {
    if (label === 'packages/large') bytes += count;
  };
  await exportTo(medium, trip.connected, { onProgress });
  expect(bytes).toBe(2 * MIB);
  await chmod(join(medium, 'packages', 'large'), 0o644);
});

function importPackages(options: Parameters<typeof importAll>[2] = {}): ReturnType<typeof importWhatIsWhole> {
  return importAll(medium, trip.offline, { packagesFolder: packages, ...options });
}
