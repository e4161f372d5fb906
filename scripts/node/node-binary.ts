import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';

const run = promisify(execFile);

/** The architectures that executables are made for, by Node's names. */
export type Arch = 'x64' | 'arm64';

const versions = z
  .record(
    z.string(),
    z.object({ version: z.string(), integrity: z.record(z.string(), z.string().startsWith('sha512-')) }),
  )
  .parse(JSON.parse(readFileSync(new URL('versions.json', import.meta.url), 'utf8')));

/** The major versions of Node that the program is tested on, oldest first. */
export const NODE_VERSIONS: readonly string[] = Object.keys(versions);

/** The version in executables, the newest with long-term support: `process.release.lts` of its binary names it. */
export const EXECUTABLE_NODE = '24';

/** The npm package with a Node. @throws Error if versions.json lacks it */
export function nodePackage(
  major: string,
  arch: Arch,
): { readonly name: string; readonly version: string; readonly integrity: string } {
  const { version, integrity } = versions[major] ?? {};
  const expected = integrity?.[`linux-${arch}`];
  if (version === undefined || expected === undefined)
    throw new Error(`scripts/node/versions.json has no Node ${major} for ${arch}`);
  return { name: `node-linux-${arch}`, version, integrity: expected };
}

/**
 * The program `node` of a version, from the npm package `node-linux-ARCH`, which is kept in the user's cache folder. An npm
 * package of another integrity than versions.json has is refused.
 * @param major one of `NODE_VERSIONS`
 * @returns an absolute path; its folder holds nothing else
 * @throws Error if versions.json lacks it, or npm can't get it
 */
export async function nodeBinary(major: string, arch: Arch = 'x64'): Promise<string> {
  return join(await unpackedNode(major, arch), 'bin/node');
}

/** The licenses of Node and of all that it contains. @throws Error as `nodeBinary` */
export async function nodeLicense(major: string): Promise<string> {
  return readFile(join(await unpackedNode(major, 'x64'), 'LICENSE'), 'utf8');
}

/** @returns the folder of the npm package, with `bin/node` and `LICENSE` */
async function unpackedNode(major: string, arch: Arch): Promise<string> {
  const { name, version, integrity: expected } = nodePackage(major, arch);
  const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'shacache');
  const folder = join(cache, `node-linux-${arch}@${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(cache, { recursive: true });
  const made = await mkdtemp(`${folder}.`);
  try {
    const archive = await pack(`${name}@${version}`, made);
    const found = `sha512-${createHash('sha512')
      .update(await readFile(archive))
      .digest('base64')}`;
    if (found !== expected)
      throw new Error(`${name}@${version} has ${found}, and versions.json has ${expected}`);
    const members = ['package/bin/node', 'package/LICENSE'];
    await run('tar', ['-xzf', archive, '-C', made, '--strip-components=1', ...members]);
    await rm(archive);
    // Whole or not at all; another process may have made it meanwhile.
    if (!existsSync(folder)) await rename(made, folder);
  } finally {
    await rm(made, { recursive: true, force: true });
  }
  return folder;
}

/** Downloads a package with npm's own client. @returns the path of the archive */
async function pack(name: string, folder: string): Promise<string> {
  const { stdout } = await run('npm', ['pack', name, '--silent', '--pack-destination', folder], {
    cwd: folder,
  });
  return join(folder, stdout.trim().split('\n').at(-1) ?? '');
}
