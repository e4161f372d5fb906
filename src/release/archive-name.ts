import { codenameOf, type Platform } from '../cache/platform.ts';
import { normalizeId, type OsRelease } from '../cache/system.ts';

/** The parts of an archive's file name. */
export interface ArchiveName {
  /** Without the extension: `rapid-cdn-1.0.344-ubuntu-22.04`. */
  readonly name: string;
  /** Also without the platform: `rapid-cdn-1.0.344`. The same as `name` if it has no platform. */
  readonly base: string;
  /** The id as Python's distro gives it; the codename from the table of cache/platform.ts. */
  readonly os?: OsRelease;
  /** `ID,VERSION` of a system whose codename is unknown. */
  readonly unknownOs?: string;
  readonly multiarch?: string;
}

const EXTENSION = /\.(?:tar(?:\.([a-z0-9]+))?|tgz|tbz2?|txz|tlz|tlz4|tzst)$/i;

/** Endings of `.tar.*` files that accompany archives: signatures, checksums, unfinished copies. */
const COMPANIONS = new Set(
  'asc sig gpg md5 sha1 sha256 sha512 part partial crdownload tmp log txt'.split(' '),
);

/** IDs of os-release(5). A longer ID stands before the ID that it begins with. */
const SYSTEMS = [
  ...['debian', 'raspbian', 'devuan', 'ubuntu', 'linuxmint'],
  ...['centos', 'fedora', 'rhel', 'rocky', 'almalinux', 'oracle', 'ol', 'amzn'],
  ...['opensuse-leap', 'opensuse-tumbleweed', 'opensuse', 'sles', 'mageia'],
];

/** Machine names of `uname -m` and of packages, with their multiarch. */
const MACHINES: Readonly<Record<string, string>> = {
  x86_64: 'x86_64-linux-gnu',
  amd64: 'x86_64-linux-gnu',
  aarch64: 'aarch64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
  armhf: 'arm-linux-gnueabihf',
  armv7l: 'arm-linux-gnueabihf',
  armel: 'arm-linux-gnueabi',
  i386: 'i686-linux-gnu',
  i486: 'i686-linux-gnu',
  i586: 'i686-linux-gnu',
  i686: 'i686-linux-gnu',
  riscv64: 'riscv64-linux-gnu',
  ppc64le: 'powerpc64le-linux-gnu',
  ppc64el: 'powerpc64le-linux-gnu',
  powerpc64le: 'powerpc64le-linux-gnu',
  s390x: 's390x-linux-gnu',
  loongarch64: 'loongarch64-linux-gnu',
  loong64: 'loongarch64-linux-gnu',
};

const PLATFORM = new RegExp(
  `^(?<base>.+)-(?<id>${SYSTEMS.join('|')})-(?<version>[0-9]+(?:\\.[0-9]+)*)` +
    `(?:-(?<machine>${Object.keys(MACHINES).join('|')})(?:-linux(?:-gnu(?:eabihf|eabi)?)?)?)?$`,
  'i',
);

/**
 * Whether the extension of a file is that of an archive; its content decides later. Hidden files are none: macOS leaves
 * `._NAME.tar.gz` on a medium.
 */
export function isArchiveName(fileName: string): boolean {
  const match = EXTENSION.exec(fileName);
  return match !== null && !fileName.startsWith('.') && !COMPANIONS.has(match[1]?.toLowerCase() ?? '');
}

/**
 * Parses an archive's file name (without folder), such as `rapid-cdn-1.0.344-ubuntu-22.04-x86_64.tar.gz`. A suffix that
 * is no known system with a version belongs to the base. Never throws.
 */
export function parseArchiveName(fileName: string): ArchiveName {
  const name = fileName.replace(EXTENSION, '');
  const { base, id, version, machine } = PLATFORM.exec(name)?.groups ?? {};
  if (base === undefined || id === undefined || version === undefined) return { name, base: name };
  const system = normalizeId(id);
  const codename = codenameOf(system, version);
  const multiarch = MACHINES[machine?.toLowerCase() ?? ''];
  return {
    ...{ name, base },
    ...(codename === undefined ? { unknownOs: `${system},${version}` } : { os: [system, version, codename] }),
    ...(multiarch !== undefined && { multiarch }),
  };
}

/** The machine of nearly every site. File names omit it. */
const USUAL_MACHINE = 'x86_64-linux-gnu';

/**
 * The file name of an archive, such as `rapid-cdn-1.0.344-ubuntu-22.04.tar.gz`. `parseArchiveName` reads the same platform
 * from it if it knows system and machine.
 * @param base as `fileNamePart` leaves it
 */
export function formatArchiveName(
  base: string,
  { os: [id, version, codename], multiarch }: Platform,
): string {
  const [machine = ''] =
    multiarch === USUAL_MACHINE
      ? []
      : (Object.entries(MACHINES).find(([, known]) => known === multiarch) ?? []);
  const platform = [id.toLowerCase(), version === '' ? codename : version, machine].map(fileNamePart);
  return `${[base, ...platform].filter((part) => part !== '').join('-')}.tar.gz`;
}

/** Keeps the characters that every file system, also FAT, allows in a file name; `''` if none is left. */
export function fileNamePart(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._+]+/g, '-')
    .replace(/^[-.]+|(?<![-.])[-.]+$/g, '');
}
