/** `[id, version, codename]` of Python's `distro`, such as `["ubuntu", "22.04", "jammy"]`. */
export type OsRelease = readonly [id: string, version: string, codename: string];

/**
 * The input of Python's `distro`. `slapos node software` uses its id, version and codename, so a release installs only on
 * machines with the same (protocol.md, "An entry").
 */
export interface SystemFiles {
  /** The text of /etc/os-release, or of /usr/lib/os-release. */
  readonly osRelease?: string | undefined;
  /** The output of `lsb_release -a`, if installed. */
  readonly lsbRelease?: string | undefined;
  /** The first useful `*-release` or `*_version` file in /etc: its name, and its first line. */
  readonly releaseFile?: { readonly name: string; readonly line: string } | undefined;
  /** The text of /etc/debian_version. */
  readonly debianVersion?: string | undefined;
}

/** The ids of `distro` for other ids in os-release, lsb_release and /etc. */
const OS_IDS: ReadonlyMap<string, string> = new Map([
  ['ol', 'oracle'],
  ['opensuse-leap', 'opensuse'],
]);
const LSB_IDS: ReadonlyMap<string, string> = new Map([
  ['enterpriseenterpriseas', 'oracle'],
  ['enterpriseenterpriseserver', 'oracle'],
  ['redhatenterpriseworkstation', 'rhel'],
  ['redhatenterpriseserver', 'rhel'],
  ['redhatenterprisecomputenode', 'rhel'],
]);
const FILE_IDS: ReadonlyMap<string, string> = new Map([['redhat', 'rhel']]);

/** The id of `distro` for an id of os-release. */
export function normalizeId(id: string, names: ReadonlyMap<string, string> = OS_IDS): string {
  const plain = id.toLowerCase().replaceAll(' ', '_');
  return names.get(plain) ?? plain;
}

/** id, version and codename of `distro`; each is `''` if missing. */
export function parseSystem({ osRelease, lsbRelease, releaseFile, debianVersion }: SystemFiles): OsRelease {
  const os = parseAssignments(osRelease ?? '');
  const lsb = parseLsbRelease(lsbRelease ?? '');
  const file = parseReleaseLine(releaseFile?.line ?? '');
  const fileId = /^(\w+)[-_](?:release|version)$/.exec(releaseFile?.name ?? '')?.[1] ?? '';
  const id =
    normalizeId(os.get('id') ?? '') ||
    normalizeId(lsb.get('distributor_id') ?? '', LSB_IDS) ||
    normalizeId(fileId, FILE_IDS);
  const isDebian = id === 'debian' || (os.get('id_like') ?? '').split(/\s+/).includes('debian');
  const versions = [
    os.get('version_id'),
    lsb.get('release'),
    file.version,
    parseReleaseLine(os.get('pretty_name') ?? '').version,
    parseReleaseLine(lsb.get('description') ?? '').version,
    isDebian ? firstLine(debianVersion ?? '').trimEnd() : undefined,
  ];
  // An empty codename in os-release means none.
  const codename = codenameIn(os) ?? (lsb.get('codename') || file.codename || '');
  return [id, versions.find((version) => version !== undefined && version !== '') ?? '', codename];
}

function codenameIn(os: ReadonlyMap<string, string>): string | undefined {
  // `9.3 (Blue Onyx)`, `14.04.6 LTS, Trusty Tahr`
  const [, inside, behind] = /\(([^0-9)]+)\)|,\s*([^0-9]+)/.exec(os.get('version') ?? '') ?? [];
  return os.get('version_codename') ?? os.get('ubuntu_codename') ?? inside ?? behind;
}

/** Characters of a line; bounds the time of the patterns below. */
const LINE_LIMIT = 4096;

/** `NAME=VALUE` lines with the shell's quotes (os-release(5)); names in lower case. */
function parseAssignments(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [word = ''] =
      /^(?:[^\s"'\\#]|\\[^]|"(?:[^"\\]|\\[^])*"|'[^']*')+/.exec(line.slice(0, LINE_LIMIT).trim()) ?? [];
    const equals = word.indexOf('=');
    if (equals > 0) found.set(word.slice(0, equals).toLowerCase(), unquote(word.slice(equals + 1)));
  }
  return found;
}

function unquote(word: string): string {
  return word.replace(
    /"((?:[^"\\]|\\[^])*)"|'([^']*)'|\\([^])/g,
    (_all, double: string | undefined, single: string | undefined, escaped: string | undefined) =>
      double?.replace(/\\(["\\])/g, '$1') ?? single ?? escaped ?? '',
  );
}

/** `Distributor ID:	Debian`; names in lower case with `_` for a space. */
function parseLsbRelease(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0)
      found.set(line.slice(0, colon).replaceAll(' ', '_').toLowerCase(), line.slice(colon + 1).trim());
  }
  return found;
}

/** `Rocky Linux release 9.3 (Blue Onyx)`: `distro` reads such a line from its end. */
function parseReleaseLine(line: string): { readonly version?: string; readonly codename?: string } {
  const text = line.slice(0, LINE_LIMIT).trim();
  const close = text.lastIndexOf(')');
  for (let open = text.indexOf('('); open !== -1 && open < close; open = text.indexOf('(', open + 1)) {
    const version = versionAtEnd(text.slice(0, open));
    if (version !== undefined) return { version, codename: text.slice(open + 1, close) };
  }
  const version = versionAtEnd(text);
  return version === undefined ? {} : { version };
}

/** The last word from its first digit on; a name must precede it. */
function versionAtEnd(text: string): string | undefined {
  const trimmed = text.trimEnd();
  const end = trimmed.endsWith(' LTS') ? trimmed.slice(0, -' LTS'.length).trimEnd() : trimmed;
  let start = end.length;
  while (start > 1 && /[\d.+\-a-z]/.test(end.charAt(start - 1))) start--;
  const word = end.slice(start);
  const digit = word.search(/\d/);
  return digit === -1 ? undefined : word.slice(digit);
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}
