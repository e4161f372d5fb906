import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const MAINTAINER = 'The shacache authors <shacache@localhost>';

/** The control file of the package. @param size of its files, in KiB */
export function control({
  version,
  arch,
  size,
}: {
  readonly version: string;
  readonly arch: string;
  readonly size: number;
}): string {
  // The versions are those of the symbols that Node needs.
  return `Package: shacache
Version: ${version}
Architecture: ${arch}
Maintainer: ${MAINTAINER}
Installed-Size: ${size}
Depends: adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 7)
Suggests: bzip2, xz-utils
Section: net
Priority: optional
Homepage: https://slapos.nexedi.com
Description: offline binary cache for SlapOS
 SlapOS compiles software releases from a URL, which needs the Internet. This
 cache (ShaCache and ShaDir) holds compiled releases that were carried over an
 air gap, and serves them to nodes, which verify a signature before they
 install them.
 .
 The package has the command "cache" with its service. The command is one file
 with Node inside.
`;
}

/** Debian's changelog, of the version alone. @param seconds since 1970 */
export function changelog(version: string, seconds: number): string {
  const date = new Date(seconds * 1000).toUTCString().replace('GMT', '+0000');
  return `shacache (${version}) stable; urgency=medium

  * The changes are listed in CHANGELOG.md of the source.

 -- ${MAINTAINER}  ${date}
`;
}

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), license: z.string().optional(), dev: z.boolean().optional() }),
  ),
});

/**
 * The licenses of everything in the program: its own, Node's and those of the packages that package-lock.json lists.
 * @param node Node's license
 */
export async function copyright(node: string): Promise<string> {
  const lock = lockSchema.parse(JSON.parse(await readFile('package-lock.json', 'utf8')));
  const packages = Object.entries(lock.packages).filter(([folder, { dev }]) => folder !== '' && dev !== true);
  const parts = await Promise.all(
    packages.map(async ([folder, { version = '', license = '' }]) => {
      const name = folder.replace(/^.*node_modules\//, '');
      return `${LINE}${name} ${version}: ${license}\n\n${await licenseOf(folder)}`;
    }),
  );
  const texts = [
    await readFile('LICENSE', 'utf8'),
    `${LINE}The program contains Node.js:\n\n${node}`,
    `${LINE}The program contains npm packages:\n`,
    ...parts,
  ];
  return withoutCommon(texts.join('\n'));
}

const LINE = `${'-'.repeat(78)}\n`;

async function licenseOf(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^(licen[cs]e|notice)/i.test(name)).sort();
  return (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
}

/** Debian has these texts once for all packages. */
const COMMON = [
  [/Apache License\s+Version 2\.0,[^]*?END OF TERMS AND CONDITIONS/g, 'Apache-2.0'],
  [/GNU GENERAL PUBLIC LICENSE\s+Version 2,[^]*?POSSIBILITY OF SUCH DAMAGES\./g, 'GPL-2'],
] as const;

function withoutCommon(text: string): string {
  return COMMON.reduce(
    (shorter, [license, name]) => shorter.replace(license, `See /usr/share/common-licenses/${name}.`),
    text,
  );
}
