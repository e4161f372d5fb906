import { describe, expect, it } from 'vitest';
import { formatArchiveName, isArchiveName, parseArchiveName } from '../../src/release/archive-name.ts';

describe('parseArchiveName', () => {
  it.each([
    '.tar.gz',
    '.tgz',
    '.tar.bz2',
    '.tbz2',
    '.tbz',
    '.tar.xz',
    '.txz',
    '.tar',
    '.tar.zst',
    '.tar.foo',
    '.TAR.GZ',
  ])('takes the extension %s off', (extension) => {
    expect(parseArchiveName(`rapid-cdn-1.0.344${extension}`)).toEqual({
      name: 'rapid-cdn-1.0.344',
      base: 'rapid-cdn-1.0.344',
    });
  });

  it('keeps a dot of a version that is no extension', () => {
    expect(parseArchiveName('rapid-cdn-1.0.344').name).toBe('rapid-cdn-1.0.344');
  });

  it.each([
    ['ubuntu-22.04', ['ubuntu', '22.04', 'jammy'], undefined],
    ['Ubuntu-24.04', ['ubuntu', '24.04', 'noble'], undefined],
    ['debian-12', ['debian', '12', 'bookworm'], undefined],
    ['debian-12.5', ['debian', '12.5', 'bookworm'], undefined],
    ['raspbian-11-armhf', ['raspbian', '11', 'bullseye'], 'arm-linux-gnueabihf'],
    ['ubuntu-22.04-x86_64', ['ubuntu', '22.04', 'jammy'], 'x86_64-linux-gnu'],
    ['ubuntu-22.04-amd64', ['ubuntu', '22.04', 'jammy'], 'x86_64-linux-gnu'],
    ['debian-11-aarch64', ['debian', '11', 'bullseye'], 'aarch64-linux-gnu'],
    ['debian-11-arm64', ['debian', '11', 'bullseye'], 'aarch64-linux-gnu'],
    ['debian-12-i386', ['debian', '12', 'bookworm'], 'i686-linux-gnu'],
    ['debian-12-x86_64-linux-gnu', ['debian', '12', 'bookworm'], 'x86_64-linux-gnu'],
    ['debian-12-arm-linux-gnueabihf', undefined, undefined],
    ['opensuse-leap-15.6', ['opensuse', '15.6', ''], undefined],
    ['ol-9.4-x86_64', ['oracle', '9.4', ''], 'x86_64-linux-gnu'],
    ['fedora-41', ['fedora', '41', ''], undefined],
  ])('reads the platform %s', (suffix, os, multiarch) => {
    const name = `rapid-cdn-1.0.344-${suffix}`;
    const parsed = parseArchiveName(`${name}.tar.gz`);
    expect(parsed.name).toBe(name);
    expect(parsed.base).toBe(os === undefined ? name : 'rapid-cdn-1.0.344');
    expect(parsed.os).toEqual(os);
    expect(parsed.multiarch).toBe(multiarch);
  });

  it.each(['rocky-9.3', 'almalinux-9.3', 'ubuntu-24.10'])(
    'knows no codename of %s, and says of what',
    (system) => {
      expect(parseArchiveName(`kvm-1.0-${system}-x86_64.tar.gz`)).toEqual({
        ...{ name: `kvm-1.0-${system}-x86_64`, base: 'kvm-1.0', multiarch: 'x86_64-linux-gnu' },
        unknownOs: system.replace('-', ','),
      });
    },
  );

  it.each([
    'webrunner-plan-9',
    'ubuntu-22.04',
    'tool-ubuntu',
    'tool-debian-bookworm',
    'tool-x86_64',
    'my-notubuntu-22.04',
  ])('finds no platform in %s', (name) => {
    expect(parseArchiveName(`${name}.tgz`)).toEqual({ name, base: name });
  });
});

describe('formatArchiveName', () => {
  it.each([
    [['ubuntu', '22.04', 'jammy'], 'x86_64-linux-gnu', 'kvm-1.0-ubuntu-22.04.tar.gz'],
    [['Debian', '12', 'bookworm'], 'aarch64-linux-gnu', 'kvm-1.0-debian-12-aarch64.tar.gz'],
    [['raspbian', '11', 'bullseye'], 'arm-linux-gnueabihf', 'kvm-1.0-raspbian-11-armhf.tar.gz'],
    [['debian', '', 'forky'], 'x86_64-linux-gnu', 'kvm-1.0-debian-forky.tar.gz'],
    [['arch', '', ''], 'mips-linux-gnu', 'kvm-1.0-arch.tar.gz'],
    [['we/ird', '1:2', ''], 'x86_64-linux-gnu', 'kvm-1.0-we-ird-1-2.tar.gz'],
  ] as const)('of %j on %s', (os, multiarch, name) => {
    expect(formatArchiveName('kvm-1.0', { os, multiarch })).toBe(name);
  });
});

describe('isArchiveName', () => {
  it.each(['a.tar.gz', 'a.tgz', 'a.tar.bz2', 'a.tar.xz', 'a.tar', 'a.tar.zst', 'a.TAR.GZ', 'ä b.tar.lz4'])(
    'takes %s for an archive',
    (name) => {
      expect(isArchiveName(name)).toBe(true);
    },
  );

  it.each([
    'a.gz',
    'a.zip',
    'tar',
    'a.tar.gz.sha512',
    'a.tar.asc',
    'a.tar.part',
    '._a.tar.gz',
    'sign.crt',
    'atar',
  ])('leaves %s alone', (name) => {
    expect(isArchiveName(name)).toBe(false);
  });
});
