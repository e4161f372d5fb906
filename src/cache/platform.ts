import { CacheError } from './errors.ts';

/** `[id, version, codename]` of os-release, such as `["ubuntu", "22.04", "jammy"]`. */
export type OsRelease = readonly [id: string, version: string, codename: string];

/** Where a compiled software release runs (protocol.md, "An entry"). */
export interface Platform {
  /** What `gcc -dumpmachine` prints, such as `x86_64-linux-gnu`. */
  readonly multiarch: string;
  readonly os: OsRelease;
}

/** Codenames of the releases that SlapOS nodes run on; os-release of testing versions has a codename only. */
const CODENAMES: ReadonlyMap<string, string> = new Map([
  ['debian 8', 'jessie'],
  ['debian 9', 'stretch'],
  ['debian 10', 'buster'],
  ['debian 11', 'bullseye'],
  ['debian 12', 'bookworm'],
  ['debian 13', 'trixie'],
  ['debian 14', 'forky'],
  ['ubuntu 14.04', 'trusty'],
  ['ubuntu 16.04', 'xenial'],
  ['ubuntu 18.04', 'bionic'],
  ['ubuntu 20.04', 'focal'],
  ['ubuntu 22.04', 'jammy'],
  ['ubuntu 24.04', 'noble'],
  ['ubuntu 25.04', 'plucky'],
  ['ubuntu 25.10', 'questing'],
  ['ubuntu 26.04', 'resolute'],
]);

/** The codename of a distribution's version, `''` where it has none that we know. */
export function codenameOf(id: string, version: string): string {
  const name = id === 'raspbian' ? 'debian' : id;
  const [major = ''] = version.split('.');
  return CODENAMES.get(`${name} ${version}`) ?? CODENAMES.get(`${name} ${major}`) ?? '';
}

/**
 * An operating system as a person writes it: `ubuntu-22.04`, `debian 12`, `ubuntu,22.04,jammy`.
 * The codename comes from a table when it isn't given.
 * @throws CacheError `usage`
 */
export function parseOs(text: string): OsRelease {
  const match = /^([A-Za-z][A-Za-z0-9_-]*?)[-, ]+([0-9][0-9A-Za-z.]*)(?:[-, ]+([A-Za-z][A-Za-z0-9]*))?$/.exec(
    text.trim(),
  );
  const [, id, version, codename] = match ?? [];
  if (id === undefined || version === undefined) {
    throw new CacheError(
      'usage',
      `not an operating system: "${text}"; write ID-VERSION, such as ubuntu-22.04 or debian-12`,
    );
  }
  return [id.toLowerCase(), version, codename ?? codenameOf(id.toLowerCase(), version)];
}

/**
 * The text of `/etc/os-release` (os-release(5)).
 * @throws CacheError `usage` when it has no ID
 */
export function parseOsRelease(text: string): OsRelease {
  const fields = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [, name, quoted] = /^([A-Z_0-9]+)=(.*)$/.exec(line.trim()) ?? [];
    if (name !== undefined && quoted !== undefined) fields.set(name, quoted.replace(/^(["'])(.*)\1$/, '$2'));
  }
  const id = fields.get('ID');
  if (id === undefined) throw new CacheError('usage', 'os-release names no ID; tell the system with --os');
  const version = fields.get('VERSION_ID') ?? '';
  return [id, version, fields.get('VERSION_CODENAME') ?? codenameOf(id, version)];
}

/** The text of a Python tuple, as old entries have it: `('ubuntu', '22.04', 'jammy')`. Undefined for anything else. */
export function parseOsTuple(text: string): OsRelease | undefined {
  const [, id, version, codename] =
    /^\(\s*'([^']*)'\s*,\s*'([^']*)'\s*,\s*'([^']*)'\s*\)$/.exec(text.trim()) ?? [];
  return id === undefined || version === undefined || codename === undefined
    ? undefined
    : [id, version, codename];
}

/** Whether a release built on `built` installs on `machine`: the rule of protocol.md, "Which entry a node installs". */
export function isCompatible(built: Platform, machine: Platform): boolean {
  return compatibilityClass(built) === compatibilityClass(machine);
}

/** Equal for two platforms that install the same releases. */
export function compatibilityClass({ multiarch, os }: Platform): string {
  return JSON.stringify([multiarch, ...comparable(os)]);
}

/** Equal for two systems that count as the same. */
function comparable([id, version, codename]: OsRelease): OsRelease {
  const name = id.toLowerCase() === 'raspbian' ? 'debian' : id.toLowerCase();
  return name === 'debian' ? [name, version.split('.')[0] ?? '', ''] : [name, version, codename];
}

/** `ubuntu 22.04 x86_64-linux-gnu` */
export function formatPlatform({ multiarch, os: [id, version] }: Platform): string {
  return [id, version, multiarch].filter((part) => part !== '').join(' ');
}

/** The multiarch of a machine that runs Node with this `process.arch` on glibc. */
export function multiarchOfNode(arch: string): string {
  const known: Readonly<Record<string, string>> = {
    x64: 'x86_64-linux-gnu',
    ia32: 'i686-linux-gnu',
    arm64: 'aarch64-linux-gnu',
    arm: 'arm-linux-gnueabihf',
    riscv64: 'riscv64-linux-gnu',
    ppc64: 'powerpc64le-linux-gnu',
    s390x: 's390x-linux-gnu',
  };
  return known[arch] ?? `${arch}-linux-gnu`;
}
