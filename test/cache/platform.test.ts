import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codenameOf,
  formatPlatform,
  isCompatible,
  multiarchOfNode,
  parseOs,
  parseOsTuple,
  type Platform,
} from '../../src/cache/platform.ts';
import type { OsRelease } from '../../src/cache/system.ts';
import { parseArchiveName } from '../../src/release/archive-name.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';

const on = (id: string, version: string, codename: string, multiarch = 'x86_64-linux-gnu'): Platform => ({
  multiarch,
  os: [id, version, codename],
});

describe('the rule by which a node chooses', () => {
  it.each<[string, Platform, Platform]>([
    ['the same system', on('ubuntu', '22.04', 'jammy'), on('ubuntu', '22.04', 'jammy')],
    ['an id in other case', on('Ubuntu', '22.04', 'jammy'), on('ubuntu', '22.04', 'jammy')],
    ['Debian of the same major version', on('debian', '12.1', 'bookworm'), on('debian', '12.9', 'bookworm')],
    [
      'Debian with and without point release',
      on('debian', '12', 'bookworm'),
      on('debian', '12.9', 'bookworm'),
    ],
    ['Debian of another codename', on('debian', '12', 'bookworm'), on('debian', '12', '')],
    ['Raspbian for Debian', on('raspbian', '11', 'bullseye'), on('debian', '11.3', 'bullseye')],
    ['Debian for Raspbian', on('debian', '11', 'bullseye'), on('Raspbian', '11', 'bullseye')],
  ])('installs %s', (_what, built, machine) => {
    expect(isCompatible(built, machine)).toBe(true);
  });

  it.each<[string, Platform, Platform]>([
    ['another machine', on('ubuntu', '22.04', 'jammy', 'aarch64-linux-gnu'), on('ubuntu', '22.04', 'jammy')],
    ['another version', on('ubuntu', '20.04', 'focal'), on('ubuntu', '22.04', 'jammy')],
    ['another codename', on('ubuntu', '22.04', 'focal'), on('ubuntu', '22.04', 'jammy')],
    ['no codename, but for Debian', on('ubuntu', '22.04', ''), on('ubuntu', '22.04', 'jammy')],
    ['a longer version, but for Debian', on('ubuntu', '22.04.1', 'jammy'), on('ubuntu', '22.04', 'jammy')],
    ['a codename in other case', on('ubuntu', '22.04', 'Jammy'), on('ubuntu', '22.04', 'jammy')],
    ['another distribution', on('debian', '12', 'bookworm'), on('ubuntu', '12', 'bookworm')],
    ['Debian of another major version', on('debian', '11', 'bullseye'), on('debian', '12', 'bookworm')],
    ['Debian whose version only begins alike', on('debian', '1', ''), on('debian', '12', '')],
    ['Debian sid', on('debian', '', 'trixie'), on('debian', '12', 'bookworm')],
  ])('does not install %s', (_what, built, machine) => {
    expect(isCompatible(built, machine)).toBe(false);
    expect(isCompatible(machine, built)).toBe(false);
  });

  it('is the same in both directions, and holds for a platform and itself', () => {
    const part = fc.constantFrom(
      'debian',
      'Debian',
      'raspbian',
      'ubuntu',
      '12',
      '12.1',
      '22.04',
      '',
      'jammy',
    );
    const platform = fc
      .tuple(part, part, part, fc.constantFrom('x86_64-linux-gnu', 'aarch64-linux-gnu'))
      .map((parts) => on(...parts));
    fc.assert(
      fc.property(platform, platform, (a, b) => {
        expect(isCompatible(a, b)).toBe(isCompatible(b, a));
        expect(isCompatible(a, a)).toBe(true);
      }),
    );
  });
});

describe('an operating system as a person writes it', () => {
  it.each<[string, OsRelease]>([
    ['ubuntu-22.04', ['ubuntu', '22.04', 'jammy']],
    ['Ubuntu 22.04', ['ubuntu', '22.04', 'jammy']],
    ['ubuntu,22.04,jammy', ['ubuntu', '22.04', 'jammy']],
    ['debian-12', ['debian', '12', 'bookworm']],
    ['debian-12.5', ['debian', '12.5', 'bookworm']],
    ['raspbian-11', ['raspbian', '11', 'bullseye']],
    ['rocky,9.3,Blue Onyx', ['rocky', '9.3', 'Blue Onyx']],
    ['rocky,9.3,', ['rocky', '9.3', '']],
    ['opensuse-leap-15.5', ['opensuse', '15.5', '']],
    ['ol-9.4', ['oracle', '9.4', '']],
    ['fedora-41', ['fedora', '41', '']],
    ['debian-trixie/sid', ['debian', 'trixie/sid', '']],
    ['ubuntu-14.04', ['ubuntu', '14.04', 'Trusty Tahr']],
    ['ubuntu-24.10-oracular', ['ubuntu', '24.10', 'oracular']],
    ['ubuntu,24.04', ['ubuntu', '24.04', 'noble']],
    ['arch', ['arch', '', '']],
    ['myos,,', ['myos', '', '']],
  ])('%s', (text, expected) => {
    expect(parseOs(text)).toEqual(expected);
  });

  it.each([
    '',
    'ubuntu',
    'linux',
    '22.04',
    'ubuntu-jammy',
    'ubuntu-22.04-jammy-x86_64',
    '-ubuntu-22.04',
    'ubuntu-22.04\nx',
  ])('refuses %j', async (text) => {
    await expectCacheError(() => parseOs(text), 'usage', /write ID-VERSION/);
  });

  it('suggests the system that was mistyped', async () => {
    await expectCacheError(
      () => parseOs('ubunt-22.04'),
      'usage',
      /^the system ubunt-22\.04 is unknown; did you mean ubuntu-22\.04\?$/,
    );
  });

  it.each([
    ['rocky-9.3', 'rocky 9.3', '"rocky,9.3,CODENAME"'],
    ['ubuntu-24.10', 'ubuntu 24.10', '"ubuntu,24.10,CODENAME"'],
    ['rocky,9.3', 'rocky 9.3', '"rocky,9.3,CODENAME"'],
  ])('refuses %s: its codename is not known', async (text, system, advice) => {
    const message = new RegExp(`^the codename of ${system} is unknown; .*${advice}`);
    await expectCacheError(() => parseOs(text), 'usage', message);
  });

  it('names the same system as the end of a file name does', () => {
    for (const system of ['ubuntu-22.04', 'debian-12', 'opensuse-leap-15.5', 'ol-9.4', 'raspbian-11']) {
      expect(parseOs(system)).toEqual(parseArchiveName(`release-${system}.tar.gz`).os);
    }
  });

  it('never takes long over hostile text', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9 ,.-]{0,40}$/), (text) => {
        try {
          expect(parseOs(text)).toHaveLength(3);
        } catch (error) {
          expect(error).toMatchObject({ code: 'usage' });
        }
      }),
    );
  });
});

describe('the text of a Python tuple', () => {
  it.each<[string, OsRelease | undefined]>([
    ["('ubuntu', '22.04', 'jammy')", ['ubuntu', '22.04', 'jammy']],
    ["('debian', '11.3', '')", ['debian', '11.3', '']],
    ["('ubuntu','22.04','jammy')", ['ubuntu', '22.04', 'jammy']],
    ["(u'ubuntu', u'14.04', u'trusty')", ['ubuntu', '14.04', 'trusty']],
    ['("ubuntu", "22.04", \'jammy\',)', ['ubuntu', '22.04', 'jammy']],
    ["['ubuntu', '22.04', 'jammy']", ['ubuntu', '22.04', 'jammy']],
    ["('a\\'b', '\\x41\\u00e9\\101', 'x\\\\y\\q')", ["a'b", 'AéA', 'x\\y\\q']],
    ["('Rocky Linux', '9.3', 'Blue Onyx')", ['Rocky Linux', '9.3', 'Blue Onyx']],
    ["('ubuntu', '22.04')", undefined],
    ["('ubuntu', '22.04', 'jammy', 'x')", undefined],
    ["('ubuntu', 22.04, 'jammy')", undefined],
    ["('ubuntu', '22.04', 'jammy']", undefined],
    ["(b'ubuntu', '22.04', 'jammy')", undefined],
    ["('ubuntu',, '22.04', 'jammy')", undefined],
    ['ubuntu 22.04', undefined],
    ['', undefined],
  ])('%s', (text, expected) => {
    expect(parseOsTuple(text)).toEqual(expected);
  });
});

describe('the rest of a platform', () => {
  it('has a codename for what the table knows only', () => {
    expect(codenameOf('debian', '12.4')).toBe('bookworm');
    expect(codenameOf('ubuntu', '24.04')).toBe('noble');
    expect(codenameOf('debian', '99')).toBe('');
    expect(codenameOf('rocky', '9.3')).toBeUndefined();
    expect(codenameOf('constructor', 'name')).toBeUndefined();
    expect(codenameOf('debian', 'constructor')).toBe('');
  });

  it('names the machine as gcc does', () => {
    expect(multiarchOfNode('x64')).toBe('x86_64-linux-gnu');
    expect(multiarchOfNode('arm64')).toBe('aarch64-linux-gnu');
    expect(multiarchOfNode('loong64')).toBe('loong64-linux-gnu');
  });

  it('is shown without what it lacks', () => {
    expect(formatPlatform(on('ubuntu', '22.04', 'jammy'))).toBe('ubuntu 22.04 x86_64-linux-gnu');
    expect(formatPlatform(on('debian', '', 'trixie'))).toBe('debian x86_64-linux-gnu');
  });
});
