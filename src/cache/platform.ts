import { CacheError } from './errors.ts';
import { nearest } from './nearest.ts';
import { normalizeId, type OsRelease } from './system.ts';

/** The platform of a software release (protocol.md, "An entry"). */
export interface Platform {
  /** The output of `gcc -dumpmachine`, such as `x86_64-linux-gnu`. */
  readonly multiarch: string;
  readonly os: OsRelease;
}

/** Codenames of the systems of SlapOS nodes, as `distro` returns them. */
const CODENAMES: ReadonlyMap<string, string> = new Map([
  ['debian 8', 'jessie'],
  ['debian 9', 'stretch'],
  ['debian 10', 'buster'],
  ['debian 11', 'bullseye'],
  ['debian 12', 'bookworm'],
  ['debian 13', 'trixie'],
  ['debian 14', 'forky'],
  ['ubuntu 14.04', 'Trusty Tahr'],
  ['ubuntu 16.04', 'xenial'],
  ['ubuntu 18.04', 'bionic'],
  ['ubuntu 20.04', 'focal'],
  ['ubuntu 22.04', 'jammy'],
  ['ubuntu 24.04', 'noble'],
  ['ubuntu 25.04', 'plucky'],
  ['ubuntu 25.10', 'questing'],
  ['ubuntu 26.04', 'resolute'],
]);

/** Systems whose os-release has no codename, and Debian, where nodes ignore it. */
const WITHOUT_CODENAME: ReadonlySet<string> = new Set([
  ...['debian', 'fedora', 'opensuse', 'opensuse-tumbleweed', 'oracle', 'amzn', 'sles', 'mageia'],
]);

/** The codename of a distribution's version, `''` if it has none; undefined if unknown. */
export function codenameOf(id: string, version: string): string | undefined {
  const name = id === 'raspbian' ? 'debian' : id;
  const [major = ''] = version.split('.');
  return (
    CODENAMES.get(`${name} ${version}`) ??
    CODENAMES.get(`${name} ${major}`) ??
    (WITHOUT_CODENAME.has(name) ? '' : undefined)
  );
}

/** Characters; bounds the time of the pattern below. */
const OS_LIMIT = 200;

/**
 * Parses an operating system: `ubuntu-22.04`, `debian 12`, `debian-trixie/sid`, `arch`; or exact id, version and codename with
 * commas: `rocky,9.3,Blue Onyx`. A missing codename comes from a table.
 * @throws CacheError `usage`
 */
export function parseOs(text: string): OsRelease {
  const plain = text.trim();
  if (plain.length > OS_LIMIT || /\p{Cc}/u.test(plain)) throw notAnOs(text);
  const parts = plain.split(',').map((part) => part.trim());
  if (parts.length > 1) {
    const [id = '', version = '', codename, ...rest] = parts;
    if (id === '' || rest.length > 0) throw notAnOs(text);
    return codename === undefined
      ? completeOs(normalizeId(id), version)
      : [normalizeId(id), version, codename];
  }
  const [, id, version, codename] =
    /^([A-Za-z][\w-]*?)[- ]+(\d[\w.]*|[\w.]+\/[\w.]+)(?:[- ]+([A-Za-z]\w*))?$/.exec(plain) ?? [];
  if (id !== undefined && version !== undefined) {
    const known = normalizeId(id);
    return codename === undefined ? completeOs(known, version) : [known, version, codename];
  }
  if (WITHOUT_VERSION.has(normalizeId(plain))) return [normalizeId(plain), '', ''];
  throw notAnOs(text);
}

/** Systems whose os-release has no version; any other needs `ID,,`: a single word may be a mistake. */
const WITHOUT_VERSION: ReadonlySet<string> = new Set([
  ...['arch', 'archarm', 'artix', 'cachyos', 'endeavouros', 'garuda', 'gentoo', 'manjaro', 'void'],
]);

/** @throws CacheError `usage` for an unknown codename */
function completeOs(id: string, version: string): OsRelease {
  const codename = codenameOf(id, version);
  if (codename !== undefined) return [id, version, codename];
  const ids = [...CODENAMES.keys()].filter((name) => name.endsWith(` ${version}`));
  const [meant] = nearest(`${id} ${version}`, ids, { limit: 1, most: 2 });
  if (meant !== undefined)
    throw new CacheError(
      'usage',
      `the system ${id}-${version} is unknown; did you mean ${meant.replace(' ', '-')}?`,
    );
  throw new CacheError(
    'usage',
    `the codename of ${id} ${version} is unknown; write it as Python's distro returns it: "${id},${version},CODENAME", or "${id},${version}," if it has none`,
  );
}

function notAnOs(text: string): CacheError {
  return new CacheError(
    'usage',
    `not an operating system: "${text}"; write ID-VERSION, such as ubuntu-22.04 or debian-12, or ID,VERSION,CODENAME`,
  );
}

/**
 * Parses a Python tuple or list of three strings, as in old entries: `('ubuntu', '22.04', 'jammy')`. Like Python's
 * literal_eval; undefined for anything else.
 */
export function parseOsTuple(text: string): OsRelease | undefined {
  const [, open, inside, close] = /^([([])([^]*)([)\]])$/.exec(text.trim()) ?? [];
  if (inside === undefined || (open === '(') !== (close === ')')) return undefined;
  const items: string[] = [];
  // One string and its comma; the last comma is optional.
  const item = /\s*[uU]?(?:'((?:[^'\\\n]|\\[^])*)'|"((?:[^"\\\n]|\\[^])*)")\s*(?:,|$)/y;
  while (item.lastIndex < inside.length && items.length <= 3) {
    const start = item.lastIndex;
    const match = item.exec(inside);
    if (match === null) return inside.slice(start).trim() === '' ? toOs(items) : undefined;
    items.push(unescapePython(match[1] ?? match[2] ?? ''));
  }
  return toOs(items);
}

function toOs(items: readonly string[]): OsRelease | undefined {
  const [id, version, codename, ...rest] = items;
  return id === undefined || version === undefined || codename === undefined || rest.length > 0
    ? undefined
    : [id, version, codename];
}

const PYTHON_ESCAPES: Readonly<Record<string, string>> = {
  ...{
    '\n': '',
    '\\': '\\',
    "'": "'",
    '"': '"',
    a: '\x07',
    b: '\b',
    f: '\f',
    n: '\n',
    r: '\r',
    t: '\t',
    v: '\v',
  },
};

function unescapePython(text: string): string {
  return text.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{1,3})|([^]))/g,
    (all, x?: string, u?: string, long?: string, octal?: string, one?: string) => {
      const hex = x ?? u ?? long;
      const code = hex === undefined ? parseInt(octal ?? '', 8) : parseInt(hex, 16);
      if (!Number.isNaN(code)) return code > 0x10ffff ? all : String.fromCodePoint(code);
      return PYTHON_ESCAPES[one ?? ''] ?? all;
    },
  );
}

/** Whether a release built on `built` installs on `machine`: the rule of protocol.md, "Which entry a node installs". */
export function isCompatible(built: Platform, machine: Platform): boolean {
  return compatibilityClass(built) === compatibilityClass(machine);
}

/** The same for all platforms that install the same releases. */
export function compatibilityClass({ multiarch, os }: Platform): string {
  return JSON.stringify([multiarch, ...comparable(os)]);
}

/** The same for systems that nodes treat alike. */
function comparable([id, version, codename]: OsRelease): OsRelease {
  const name = id.toLowerCase() === 'raspbian' ? 'debian' : id.toLowerCase();
  return name === 'debian' ? [name, version.split('.')[0] ?? '', ''] : [name, version, codename];
}

/** `ubuntu 22.04 x86_64-linux-gnu` */
export function formatPlatform({ multiarch, os: [id, version] }: Platform): string {
  return [id, version, multiarch].filter((part) => part !== '').join(' ');
}

/** gcc's vendor and system, by the id of systems where it isn't `linux-gnu`. */
const GCC_SYSTEMS: ReadonlyMap<string, string> = new Map([
  ...['fedora', 'rhel', 'rocky', 'almalinux', 'centos', 'oracle', 'scientific'].map(
    (id) => [id, 'redhat-linux'] as const,
  ),
  ...['opensuse', 'opensuse-tumbleweed', 'sles'].map((id) => [id, 'suse-linux'] as const),
]);

/** The output of `gcc -dumpmachine` on a system, such as x86_64-redhat-linux on Fedora. */
export function multiarchOn([id]: OsRelease, multiarch: string): string {
  const system = GCC_SYSTEMS.get(id);
  return system === undefined ? multiarch : multiarch.replace(/-linux-gnu$/, `-${system}`);
}

/** What others call a machine, by its multiarch: Debian, Docker, Node, uname. */
const MACHINE_NAMES: Readonly<Record<string, readonly string[]>> = {
  'x86_64-linux-gnu': ['amd64', 'x64', 'x86_64', 'x86-64'],
  'i686-linux-gnu': ['i386', 'i486', 'i586', 'i686', 'ia32', 'x86'],
  'aarch64-linux-gnu': ['arm64', 'aarch64', 'armv8'],
  'arm-linux-gnueabihf': ['armhf', 'armv7', 'armv7l', 'arm'],
  'arm-linux-gnueabi': ['armel'],
  'powerpc64le-linux-gnu': ['ppc64le', 'ppc64el', 'ppc64'],
  'riscv64-linux-gnu': ['riscv64'],
  's390x-linux-gnu': ['s390x'],
};

/**
 * A multiarch: machine, system and more, joined by `-`. No release has another name of a machine, such as Debian's `amd64`.
 * @throws CacheError `usage`
 */
export function parseMultiarch(text: string): string {
  if (/^\w+(?:-\w+){2,}$/.test(text)) return text;
  const word = text.toLowerCase();
  const [known] = Object.entries(MACHINE_NAMES).find(([, names]) => names.includes(word)) ?? [];
  throw new CacheError(
    'usage',
    `not a multiarch: ${JSON.stringify(text)}; write ${known ?? 'the output of gcc -dumpmachine, such as x86_64-linux-gnu'}`,
  );
}

/** Whether two multiarchs have the same machine. */
export function isSameMachine(a: string, b: string): boolean {
  return a.split('-', 1)[0] === b.split('-', 1)[0];
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
