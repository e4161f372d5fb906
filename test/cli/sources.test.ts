import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, parseKey, type Key } from '../../src/cache/key.ts';
import { startHttpServer } from '../fixtures/http-server.ts';
import { addBlob, type TestStore } from '../operations/test-store.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { runCache, type CommandResult } from './command.ts';
import { addReleases, makeSite, urlOf, type Site } from './upkeep-site.ts';

const PYPI = parseKey('pypi:slapos.core=1.24');
const IMAGES = parseKey('packer-images');
const URL = 'https://example.com/numpy-1.0.tar.gz';
const SIZE = String.raw`[0-9.]+ (?:B|KiB)`;
const DATE = String.raw`\d{4}-\d\d-\d\d \d\d:\d\d UTC`;

let site: Site;

beforeEach(async () => {
  site = await makeSite();
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(site.folder, ...args);

/** Puts a blob and its entry into a store, as networkcache-upload does. */
async function addSource(
  { blobs, directory }: Pick<TestStore, 'blobs' | 'directory'>,
  key: Key,
  content: string,
  members: Readonly<Record<string, unknown>> = {},
  signer = site.signer,
): Promise<void> {
  await addBlob(blobs, content);
  await directory.add(key, signer.sign(JSON.stringify({ sha512: digestOf(content), ...members })));
}

async function addSources(): Promise<void> {
  await addSource(site, PYPI, 'egg', { basename: 'slapos.core-1.24.tar.gz' });
  await addSource(site, IMAGES, 'image 1', { basename: 'debian.qcow2', version: '1', cn: ['a', 'b'] });
  await addSource(site, IMAGES, 'image 2', { version: '2' }, await createTestSigner('stranger'));
  await addSource(site, keyOfFileUrl(URL), 'numpy', { url: URL });
}

const tableOf = (...lines: readonly string[]) =>
  new RegExp(`^${lines.map((line) => line.replaceAll('  ', ' +')).join('\n')}\n$`);
const SOURCES = [
  'KEY  SIZE  RECEIVED  SIGNER  URL OR FILE',
  `file-urlmd5:[0-9a-f]{32}  5 B  ${DATE}  ShaCache  ${URL}`,
  `packer-images  7 B  ${DATE}  NOT TRUSTED`,
  `packer-images  7 B  ${DATE}  ShaCache  debian.qcow2`,
  `pypi:slapos.core=1.24  3 B  ${DATE}  ShaCache  slapos.core-1.24.tar.gz`,
];
const RELEASES = [
  'PLATFORM  SIZE  RECEIVED  URL',
  `ubuntu 22.04 x86_64-linux-gnu  ${SIZE}  ${DATE}  ${urlOf(0)}`,
];

describe('cache list', () => {
  it('shows releases and sources, or one of the two', async () => {
    await addReleases(site, 1);
    await addSources();
    expect((await cache('list', '--releases')).stdout).toMatch(tableOf(...RELEASES));
    expect((await cache('list', '--sources')).stdout).toMatch(tableOf(...SOURCES));
    const both = tableOf(...RELEASES, '', ...SOURCES);
    expect((await cache('list')).stdout).toMatch(both);
    expect((await cache('list', '--sources', '--releases')).stdout).toMatch(both);
  });

  it('shows them as JSON', async () => {
    await addReleases(site, 1);
    await addSources();
    const listed = async (...args: readonly string[]): Promise<readonly unknown[]> =>
      JSON.parse((await cache('list', '--json', ...args)).stdout) as unknown[];
    const release = { url: urlOf(0), key: keyOfSoftwareUrl(urlOf(0)) };
    const sources = [
      { key: keyOfFileUrl(URL), entries: [{ url: URL, size: 5, sha512: digestOf('numpy') }] },
      { key: IMAGES, entries: [{ size: 7 }, { basename: 'debian.qcow2', signer: { name: 'ShaCache' } }] },
      { key: PYPI, entries: [{ basename: 'slapos.core-1.24.tar.gz' }] },
    ];
    expect(await listed()).toMatchObject([release, ...sources]);
    expect(await listed('--releases')).toMatchObject([release]);
    expect(await listed('--sources')).toMatchObject(sources);
  });

  it('says what the store lacks, and how it gets there', async () => {
    expect((await cache('list', '--sources')).stderr).toBe(
      'the store has no source; fill it by uploads, or with: cache fetch KEY\n',
    );
    await addSources();
    expect((await cache('list', '--releases')).stderr).toBe(
      'the store has no software release; fill it with: cache import FOLDER\n',
    );
    expect((await cache('list')).stdout).toMatch(tableOf(...SOURCES));
  });
});

describe('cache lookup', () => {
  it('answers a key of sources in their own terms', async () => {
    await addSources();
    const { code, stdout, stderr } = await cache('lookup', IMAGES);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      tableOf(
        '  VALID\\?  SIGNER  SIZE  DATE  URL OR FILE',
        `1  no  7 B  ${DATE}`,
        `2  yes  ShaCache  7 B  ${DATE}  debian.qcow2`,
        '',
        `1  sha512 ${digestOf('image 2')}`,
        '1  version 2',
        `2  sha512 ${digestOf('image 1')}`,
        '2  version 1, cn \\["a","b"\\]',
      ),
    );
    expect(JSON.parse((await cache('lookup', PYPI, '--json')).stdout)).toMatchObject({
      key: PYPI,
      entries: [{ verified: true, basename: 'slapos.core-1.24.tar.gz', members: {} }],
    });
  });

  it('finds a source file by its URL, and tries both kinds of key', async () => {
    await addSources();
    const { stdout, stderr } = await cache('lookup', URL);
    expect(stderr).toBe(`key ${keyOfFileUrl(URL)}\n`);
    expect(stdout).toMatch(new RegExp(`^1 +yes +ShaCache +5 B +${DATE} +${URL}$`, 'm'));
    const missing = await cache('lookup', `${URL}.asc`);
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(
      /^cache: nothing is known for .*\.asc \(key [0-9a-f]{32} or file-urlmd5:[0-9a-f]{32}\)$/m,
    );
  });
});

describe('cache check', () => {
  it('says of a source whether its clients can have it, and of no platform', async () => {
    await addSources();
    const { code, stdout } = await cache('check', PYPI, '--os', 'debian-12');
    expect(stdout).toMatch(new RegExp(`^yes +3 B +${PYPI}$`, 'm'));
    expect(code).toBe(0);
    const missing = await cache('check', 'pypi:none=1');
    expect(missing.code).toBe(1);
    expect(missing.stdout).toMatch(/^ {2}there is no entry for it$/m);
  });
});

describe('cache fetch', () => {
  it('brings every verified entry of a key of sources, in their order', async () => {
    const upstream = await startHttpServer();
    onTestFinished(async () => {
      await upstream.stop();
    });
    for (const version of ['1', '2', '3'])
      await addSource(upstream, IMAGES, `image ${version}`, { version, basename: `image-${version}` });
    await addSource(upstream, IMAGES, 'foreign', {}, await createTestSigner('stranger'));
    await addSource(upstream, keyOfFileUrl(URL), 'numpy', { url: URL });
    const fetched = await cache('fetch', IMAGES, URL, '--server', upstream.url);
    expect(fetched.code, fetched.stderr).toBe(0);
    expect(fetched.stderr).toMatch(/^4 fetched$/m);
    expect(fetched.stderr).toMatch(/^source +no +no: no trusted certificate verifies the signature/m);
    expect(fetched.stderr).toMatch(/^source image-3 +yes +yes$/m);
    expect(fetched.stdout).toMatch(new RegExp(`^fetched +source image-1 +7 B +${IMAGES}$`, 'm'));
    expect(fetched.stdout).toMatch(new RegExp(`^fetched +source ${URL} +5 B +${URL}$`, 'm'));
    const entries = await site.directory.entries(IMAGES);
    expect(entries.map(({ sha512 }) => sha512)).toEqual(
      ['image 3', 'image 2', 'image 1'].map((content) => digestOf(content)),
    );
    expect((await cache('fetch', IMAGES, URL, '--server', upstream.url)).stderr).toMatch(/^4 unchanged$/m);
  });
});
