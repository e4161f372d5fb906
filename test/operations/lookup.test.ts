import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { keyOfFileUrl, parseKey } from '../../src/cache/key.ts';
import { nearest } from '../../src/cache/nearest.ts';
import type { Platform } from '../../src/cache/platform.ts';
import { createTrustedCertificates } from '../../src/cache/signature.ts';
import { listReleases, listSources } from '../../src/operations/list-releases.ts';
import { blacklistNote, keyOf, lookUp, readKnownUrls } from '../../src/operations/lookup.ts';
import type { EntrySource } from '../../src/cache/source.ts';
import { membersOf, unsignedEntry } from '../fixtures/entries.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { KVM, KVM_KEY, makeArchive, makeImportSite, type ImportSite } from './import-site.ts';

const JAMMY: Platform = { multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] };

let site: ImportSite;
let source: EntrySource;

beforeEach(async () => {
  site = await makeImportSite();
  source = {
    entries: (key) => site.directory.entries(key),
    blobSize: async (digest) => (await site.blobs.stat(digest))?.size,
  };
});

describe('a lookup', () => {
  it('shows each entry as a node sees it, in the order in which it tries them', async () => {
    await makeArchive(site, 'kvm-ubuntu-22.04.tar.gz', KVM);
    await site.import([site.medium]);
    await site.import([site.medium], { os: ['debian', '12', 'bookworm'] });
    await site.directory.add(KVM_KEY, unsignedEntry(membersOf(KVM, { os: 'unknown' })));
    const { rows } = await lookUp(KVM_KEY, source, JAMMY, site.trusted);
    expect(rows.map(({ platform, compatible, verified }) => [platform?.os[0], compatible, verified])).toEqual(
      [
        [undefined, false, false],
        ['debian', false, true],
        ['ubuntu', true, true],
      ],
    );
    expect(rows[0]?.size).toBeUndefined();
    expect(rows[2]?.size).toBeGreaterThan(1000);
    expect(rows[2]?.received?.toISOString()).toMatch(/^\d{4}-\d\d-\d\dT/);
    const { rows: strangers } = await lookUp(KVM_KEY, source, JAMMY, createTrustedCertificates([]));
    expect(strangers.some(({ verified }) => verified)).toBe(false);
  });

  it('finds nothing under a key without entries', async () => {
    expect(await lookUp(KVM_KEY, source, JAMMY, site.trusted)).toEqual({ key: KVM_KEY, rows: [] });
    expect(await lookUp(KVM, source, JAMMY, site.trusted)).toEqual({ key: KVM_KEY, rows: [] });
  });

  it('shows an entry of a source in its own terms', async () => {
    const key = parseKey('pypi:kvm=1');
    const members = { sha512: membersOf(KVM)['sha512'], basename: 'kvm-1.tar.gz', version: '1', cn: [1] };
    await site.directory.add(key, unsignedEntry(members));
    const { rows } = await lookUp(key, source, JAMMY, site.trusted);
    expect(rows).toMatchObject([
      {
        ...{ platform: undefined, verified: false, signer: undefined, size: undefined },
        source: { url: undefined, basename: 'kvm-1.tar.gz', members: { version: '1', cn: [1] } },
      },
    ]);
  });

  it('finds a source file by its URL, and who signed it', async () => {
    const url = 'https://example.com/numpy-1.0.tar.gz';
    const signer = await createTestSigner('Site A');
    await site.directory.add(
      keyOfFileUrl(url),
      signer.sign(JSON.stringify({ sha512: membersOf(KVM)['sha512'], url })),
    );
    const trusted = createTrustedCertificates([{ pem: signer.certificate, where: 'list' }]);
    expect(await lookUp(url, source, JAMMY, trusted)).toMatchObject({
      key: keyOfFileUrl(url),
      rows: [
        {
          verified: true,
          signer: {
            name: 'Site A',
            fingerprint: expect.stringMatching(/^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/) as string,
          },
          source: { url, members: {} },
        },
      ],
    });
  });

  it('takes a key as it is, and anything else for a URL', () => {
    expect(keyOf(KVM)).toBe(KVM_KEY);
    for (const key of [KVM_KEY, 'pypi:a=1', 'file-private:firmware']) expect(keyOf(key)).toBe(key);
    expect(keyOf('/opt/slapos/software/kvm/software.cfg')).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('a URL that is not known', () => {
  it('brings up the known ones most like it', async () => {
    for (const version of ['1.0.300', '1.0.344']) {
      await makeArchive(site, `kvm-${version}-ubuntu-22.04.tar.gz`, KVM.replace('1.0.344', version));
    }
    await makeArchive(site, 'other-ubuntu-22.04.tar.gz', 'https://example.com/entirely/different');
    await site.import([site.medium]);
    await site.directory.add(parseKey('pypi:kvm=1'), unsignedEntry({ sha512: membersOf(KVM)['sha512'] }));
    const configured = KVM.replace('1.0.344', '1.0.347');
    const known = await readKnownUrls(site.directory, [configured]);
    expect(nearest(KVM.replace('1.0.344', '1.0.345'), known, { limit: 3 })).toEqual([
      KVM,
      configured,
      KVM.replace('1.0.344', '1.0.300'),
    ]);
  });

  it('is not helped by a damaged entry, but not hindered either', async () => {
    await makeArchive(site, 'kvm-ubuntu-22.04.tar.gz', KVM);
    await site.import([site.medium]);
    const [entry] = await site.directory.entries(KVM_KEY);
    const file = join(site.store, 'bdir', KVM_KEY, entry?.digest ?? '');
    await chmod(file, 0o644);
    await writeFile(file, '');
    expect(await readKnownUrls(site.directory, [])).toEqual(new Set());
  });
});

describe('the blacklist of the shipped slapos.cfg', () => {
  it.each([
    ['https://lab.nexedi.com/nexedi/slapos/raw/master/software/kvm/software.cfg', true],
    ['https://lab.nexedi.com/nexedi/slapos/raw/1.0/software/kvm/software.cfg', true],
    ['https://lab.nexedi.com/nexedi/slapos/raw/erp5-component/software.cfg', true],
    ['/opt/slapos/software/kvm/software.cfg', true],
    [KVM, false],
    ['https://lab.node.vifib.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg', false],
  ])('of %s: %s', (url, isListed) => {
    expect(blacklistNote(url) !== undefined).toBe(isListed);
  });
});

describe('the list of releases', () => {
  it('has each with its builds, the newest of each platform, by URL', async () => {
    const other = 'https://example.com/a/software.cfg';
    await makeArchive(site, 'kvm-ubuntu-22.04.tar.gz', KVM);
    await makeArchive(site, 'a-ubuntu-22.04.tar.gz', other);
    await site.import([site.medium]);
    await site.import([join(site.medium, 'kvm-ubuntu-22.04.tar.gz')], { os: ['debian', '12', 'bookworm'] });
    const newer = await makeArchive(site, 'kvm2-ubuntu-22.04.tar.gz', KVM, { payload: 100 });
    const [imported] = await site.import([newer]);
    await site.directory.add(parseKey('pypi:kvm=1'), unsignedEntry({ sha512: membersOf(KVM)['sha512'] }));
    const releases = await listReleases(site.directory, site.blobs);
    expect(releases.map(({ softwareUrl, builds }) => [softwareUrl, builds.length])).toEqual([
      [other, 1],
      [KVM, 2],
    ]);
    expect(releases[1]?.builds[0]).toMatchObject({
      platform: JAMMY,
      sha512: imported && 'sha512' in imported && imported.sha512,
    });
    await rm(join(site.store, 'bcache', releases[0]?.builds[0]?.sha512 ?? ''));
    expect((await listReleases(site.directory, site.blobs))[0]?.builds[0]?.size).toBeUndefined();
  });
});

describe('the list of sources', () => {
  it('has each entry of each key, the newest first, and no release', async () => {
    await makeArchive(site, 'kvm-ubuntu-22.04.tar.gz', KVM);
    await site.import([site.medium]);
    const signer = await createTestSigner('Site A');
    const trusted = createTrustedCertificates([{ pem: signer.certificate, where: 'list' }]);
    const [release] = await site.directory.entries(KVM_KEY);
    const sha512 = release?.sha512;
    const url = 'https://example.com/numpy-1.0.tar.gz';
    const images = parseKey('packer-images');
    await site.directory.add(images, unsignedEntry({ sha512, basename: 'image', version: 1 }));
    await site.directory.add(images, signer.sign(JSON.stringify({ sha512, basename: 'image', version: 2 })));
    await site.directory.add(
      keyOfFileUrl(url),
      signer.sign(JSON.stringify({ sha512: 'ab'.repeat(64), url })),
    );
    // Under the key of a release, too: it is none.
    await site.directory.add(KVM_KEY, unsignedEntry({ sha512 }));
    const size = (await site.blobs.stat(release?.sha512 as Digest))?.size;
    const sources = await listSources(site.directory, site.blobs, trusted);
    const received = expect.any(Date) as Date;
    expect(sources).toEqual(
      [
        { key: KVM_KEY, entries: [{ sha512, size, received }] },
        {
          key: images,
          entries: [
            {
              ...{ basename: 'image', sha512, size, received },
              signer: { name: 'Site A', fingerprint: trusted.certificates[0]?.fingerprint256 },
            },
            { basename: 'image', sha512, size, received },
          ],
        },
        {
          key: keyOfFileUrl(url),
          entries: [
            {
              ...{ url, sha512: 'ab'.repeat(64), received },
              signer: { name: 'Site A', fingerprint: trusted.certificates[0]?.fingerprint256 },
            },
          ],
        },
      ].sort((a, b) => (a.key < b.key ? -1 : 1)),
    );
    // The source under its key doesn't hide the release.
    expect(await listReleases(site.directory, site.blobs)).toMatchObject([{ softwareUrl: KVM }]);
  });
});
