import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  codenameOf,
  formatPlatform,
  isCompatible,
  multiarchOfNode,
  parseOs,
  parseOsRelease,
  parseOsTuple,
  type OsRelease,
  type Platform,
} from '../../src/cache/platform.ts';
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

describe('os-release', () => {
  it.each<[string, string, OsRelease]>([
    [
      'Debian 12',
      `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
`,
      ['debian', '12', 'bookworm'],
    ],
    [
      'Debian 8, which tells no codename',
      `PRETTY_NAME="Debian GNU/Linux 8 (jessie)"\nNAME="Debian GNU/Linux"\nVERSION_ID="8"\nVERSION="8 (jessie)"\nID=debian\n`,
      ['debian', '8', 'jessie'],
    ],
    [
      'Debian sid, which tells no version',
      `PRETTY_NAME="Debian GNU/Linux trixie/sid"\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=trixie\nID=debian\n`,
      ['debian', '', 'trixie'],
    ],
    [
      'Ubuntu 22.04',
      `PRETTY_NAME="Ubuntu 22.04.4 LTS"
NAME="Ubuntu"
VERSION_ID="22.04"
VERSION="22.04.4 LTS (Jammy Jellyfish)"
VERSION_CODENAME=jammy
ID=ubuntu
ID_LIKE=debian
UBUNTU_CODENAME=jammy
`,
      ['ubuntu', '22.04', 'jammy'],
    ],
    [
      'Raspbian 11',
      `PRETTY_NAME="Raspbian GNU/Linux 11 (bullseye)"\nNAME="Raspbian GNU/Linux"\nVERSION_ID="11"\nVERSION="11 (bullseye)"\nVERSION_CODENAME=bullseye\nID=raspbian\nID_LIKE=debian\n`,
      ['raspbian', '11', 'bullseye'],
    ],
    ['single quotes, comments and CRLF', `# os\r\nID='rocky'\r\nVERSION_ID='9.3'\r\n`, ['rocky', '9.3', '']],
  ])('of %s', (_what, text, expected) => {
    expect(parseOsRelease(text)).toEqual(expected);
  });

  it('without an ID is refused with what to do', async () => {
    await expectCacheError(() => parseOsRelease('NAME="Linux"\nVERSION_ID=3\n'), 'usage', /--os/);
  });

  it('lets a Debian 12 machine install what was built on another point release', () => {
    const machine = { multiarch: 'x86_64-linux-gnu', os: parseOsRelease('ID=debian\nVERSION_ID="12"\n') };
    expect(isCompatible(on('debian', '12.5', 'bookworm'), machine)).toBe(true);
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
    ['rocky-9.3', ['rocky', '9.3', '']],
    ['opensuse-leap-15.5', ['opensuse-leap', '15.5', '']],
    ['ubuntu-99.04', ['ubuntu', '99.04', '']],
  ])('%s', (text, expected) => {
    expect(parseOs(text)).toEqual(expected);
  });

  it.each([
    '',
    'ubuntu',
    '22.04',
    'ubuntu-jammy',
    'ubuntu-22.04-jammy-x86_64',
    '-ubuntu-22.04',
    'ubuntu-22.04\nx',
  ])('refuses %j', async (text) => {
    await expectCacheError(() => parseOs(text), 'usage', /write ID-VERSION/);
  });

  it('names the same system as the end of a file name does', () => {
    for (const system of ['ubuntu-22.04', 'debian-12', 'opensuse-leap-15.5', 'rocky-9.3', 'raspbian-11']) {
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
    ["('ubuntu', '22.04')", undefined],
    ["['ubuntu', '22.04', 'jammy']", undefined],
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
    expect(codenameOf('constructor', 'name')).toBe('');
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
