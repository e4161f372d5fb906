import { codenameOf, type Platform } from '../cache/platform.ts';
import { normalizeId, type OsRelease } from '../cache/system.ts';

/** What the file name of an archive tells. */
export interface ArchiveName {
  /** Without the extension: `rapid-cdn-1.0.344-ubuntu-22.04`. */
  readonly name: string;
  /** Without the platform either: `rapid-cdn-1.0.344`. The same as `name` where none is told. */
  readonly base: string;
  /** The id as Python's distro gives it; the codename from the table of cache/platform.ts. */
  readonly os?: OsRelease;
  /** `ID,VERSION` of a system whose codename isn't known. */
  readonly unknownOs?: string;
  readonly multiarch?: string;
}

const EXTENSION = /\.(?:tar(?:\.([a-z0-9]+))?|tgz|tbz2?|txz|tlz|tlz4|tzst)$/i;

/** Endings of `.tar.*` files that lie beside an archive and are none: signatures, checksums, unfinished copies. */
const COMPANIONS = new Set(
  'asc sig gpg md5 sha1 sha256 sha512 part partial crdownload tmp log txt'.split(' '),
);

/** IDs of os-release(5); one that begins like another stands before it. */
const SYSTEMS = [
  ...['debian', 'raspbian', 'devuan', 'ubuntu', 'linuxmint'],
  ...['centos', 'fedora', 'rhel', 'rocky', 'almalinux', 'oracle', 'ol', 'amzn'],
  ...['opensuse-leap', 'opensuse-tumbleweed', 'opensuse', 'sles', 'mageia'],
];

/** Names of machines, of `uname -m` and of packages, and the multiarch of each. */
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
 * Whether a file of a folder is to be taken for an archive, going by its extension alone; its content decides
 * later. Hidden files aren't: `._NAME.tar.gz` is what macOS leaves on a medium.
 */
export function isArchiveName(fileName: string): boolean {
  const match = EXTENSION.exec(fileName);
  return match !== null && !fileName.startsWith('.') && !COMPANIONS.has(match[1]?.toLowerCase() ?? '');
}

/**
 * The parts of an archive's file name (without folder), such as `rapid-cdn-1.0.344-ubuntu-22.04-x86_64.tar.gz`.
 * A suffix that isn't a known system with a version stays part of the base. Never throws.
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

/** The machine that nearly every site has, and that file names don't tell. */
const USUAL_MACHINE = 'x86_64-linux-gnu';

/**
 * The file name of an archive, such as `rapid-cdn-1.0.344-ubuntu-22.04.tar.gz`. `parseArchiveName` reads the same platform
 * from it, unless the system or the machine is none that it knows.
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

/** A text as a part of a file name that every file system takes, FAT too; `''` when nothing is left. */
export function fileNamePart(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .replace(/[^A-Za-z0-9._+]+/g, '-')
    .replace(/^[-.]+|(?<![-.])[-.]+$/g, '');
}
