import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { formatArchiveName, isArchiveName, parseArchiveName } from '../../src/release/archive-name.ts';
import { nameOfRelease, versionedNameOf } from '../../src/release/release-name.ts';

const LAB = 'https://lab.nexedi.com/nexedi/slapos';
const COMMIT = '3f2a91c04be7d2581aa03c5e94f6b7d8e0c1f2a3';

describe('versionedNameOf', () => {
  it.each([
    [`${LAB}/raw/1.0.344/software/rapid-cdn/software.cfg`, 'rapid-cdn@1.0.344'],
    [`${LAB}/raw/1.0.344/software/rapid-cdn/software-py3.cfg`, 'rapid-cdn-py3@1.0.344'],
    [`${LAB}/-/raw/refs/heads/feature/x/software/kvm/software.cfg`, 'kvm@feature-x'],
    ['https://files.example.com/slapos-1.0.344/software/kvm/software.cfg', 'kvm@1.0.344'],
    ['/srv/slapos/software/kvm/software.cfg', undefined],
    ['https://example.com/', undefined],
    ['', undefined],
  ])('of %s is %s', (url, name) => {
    expect(versionedNameOf(url)).toBe(name);
  });
});

describe('nameOfRelease', () => {
  it.each([
    [`${LAB}/raw/1.0.344/software/rapid-cdn/software.cfg`, 'rapid-cdn-1.0.344'],
    [`${LAB}/-/raw/1.0.344/software/rapid-cdn/software.cfg`, 'rapid-cdn-1.0.344'],
    [`${LAB}/-/raw/refs/tags/1.0.344/software/kvm/software.cfg?inline=false`, 'kvm-1.0.344'],
    [`${LAB}/raw/${COMMIT}/software/kvm/software.cfg`, `kvm-${COMMIT}`],
    [`${LAB}/raw/1.0.344/software/kvm/kvm.cfg`, 'kvm-1.0.344'],
    [`${LAB}/raw/1.0.344/software/erp5/test/software.cfg`, 'erp5-test-1.0.344'],
    [`${LAB}/raw/1.0.344/software/theia/software/software.cfg`, 'theia-software-1.0.344'],
    [`${LAB}/raw/1.0.344/stack/erp5/buildout.cfg`, 'stack-erp5-buildout-1.0.344'],
    [`${LAB}/raw/1.0.344/software.cfg`, 'slapos-1.0.344'],
    ['https://raw.githubusercontent.com/SlapOS/slapos/1.0.344/software/kvm/software.cfg', 'kvm-1.0.344'],
    ['https://raw.githubusercontent.com/SlapOS/slapos/refs/heads/main/software.cfg', 'slapos-main'],
    ['https://files.example.com/slapos-1.0.344/software/kvm/software.cfg', 'kvm-1.0.344'],
    ['https://192.168.0.1/v2.1/software/kvm/software.cfg', 'kvm-v2.1'],
  ])('of %s is %s', (url, name) => {
    expect(nameOfRelease(url)).toBe(name);
  });

  it.each([
    ['feature/new-kvm', 'kvm-feature-new-kvm'],
    ['software/kvm', 'kvm-software-kvm'],
    ['refs/heads/feature/x', 'kvm-feature-x'],
    ['master', 'kvm-master'],
  ])('knows the branch %s', (branch, name) => {
    expect(nameOfRelease(`${LAB}/raw/${branch}/software/kvm/software.cfg`)).toBe(name);
  });

  it('tells the profiles of a folder apart', () => {
    const profiles = [
      'software.cfg',
      'software-py3.cfg',
      'software-py2.cfg',
      'instance.cfg',
      'software.old.cfg',
    ];
    const names = profiles.map((file) => nameOfRelease(`${LAB}/raw/1.0.344/software/kvm/${file}`));
    expect(names).toEqual([
      'kvm-1.0.344',
      'kvm-py3-1.0.344',
      'kvm-py2-1.0.344',
      'kvm-instance-1.0.344',
      'kvm-old-1.0.344',
    ]);
  });

  it.each([
    ['/opt/slapos/software/kvm/software.cfg', 'kvm'],
    ['~/srv/project/slapos/software/html5as-base/software.cfg', 'html5as-base'],
    ['/root/slapos-1.0.344/software/kvm/software.cfg', 'kvm-1.0.344'],
    ['file:///srv/kvm/software.cfg', 'kvm'],
    ['/srv/kvm-1.0.344/software.cfg', 'kvm-1.0.344'],
    ['kvm.cfg', 'kvm'],
  ])('of the local path %s is %s', (path, name) => {
    expect(nameOfRelease(path)).toBe(name);
  });

  it.each([
    `${LAB}/raw/1 beta:*?/software/F%C5%91 "x"/software.cfg`,
    '/opt/Fő/software/%zz\\<>|/software.cfg',
  ])('of %j is one that FAT takes', (url) => {
    expect(nameOfRelease(url)).toMatch(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/);
  });

  it.each(['https://example.com/', 'software.cfg', '/', '', '/日本/software.cfg'])(
    'of %j, which tells none, is its key',
    (url) => {
      expect(nameOfRelease(url)).toBe(keyOfSoftwareUrl(url));
    },
  );
});

describe('the file name of an archive', () => {
  const words = fc.array(fc.oneof(fc.string(), fc.constantFrom('raw', 'software', '1.0.344', '-', 'refs')));
  const urls = fc.oneof(
    fc.webUrl({ withQueryParameters: true }),
    fc.string(),
    words.map((path) => `https://example.com/${path.join('/')}`),
  );
  const platforms = fc.record({
    os: fc.constantFrom(
      ['ubuntu', '22.04', 'jammy'] as const,
      ['debian', '12', 'bookworm'] as const,
      ['opensuse', '15.6', ''] as const,
    ),
    multiarch: fc.constantFrom('x86_64-linux-gnu', 'aarch64-linux-gnu', 'arm-linux-gnueabihf'),
  });

  it('is one for every URL, fits every file system, and tells the platform', () => {
    fc.assert(
      fc.property(urls, platforms, (url, platform) => {
        const name = formatArchiveName(nameOfRelease(url), platform);
        expect(name).toMatch(/^[A-Za-z0-9_+][A-Za-z0-9._+-]{0,240}$/);
        expect(isArchiveName(name)).toBe(true);
        const { base, os, multiarch = 'x86_64-linux-gnu' } = parseArchiveName(name);
        expect({ base, os, multiarch }).toEqual({ base: nameOfRelease(url), ...platform });
      }),
      { numRuns: 500 },
    );
  });
});
