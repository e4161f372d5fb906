import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { multiarchOfNode, multiarchOn, type Platform } from '../cache/platform.ts';
import { parseSystem, type SystemFiles } from '../cache/system.ts';
import { readSmallFile } from '../files/small-file.ts';

/** The machine that runs this program. */
export interface Machine extends Platform {
  /**
   * Whether the multiarch comes from gcc, as on a node: a node without gcc never downloads (protocol.md, "An entry").
   */
  readonly hasGcc: boolean;
}

/** @throws CacheError `usage` if the machine's system is unknown */
export async function readMachine(): Promise<Machine> {
  const os = parseSystem(await readSystemFiles());
  if (os[0] === '') throw new CacheError('usage', '/etc/os-release has no ID; name the system with --os');
  const multiarch = (await outputOf('gcc', ['-dumpmachine']))?.trim();
  const isTold = multiarch !== undefined && multiarch !== '';
  return {
    os,
    multiarch: isTold ? multiarch : multiarchOn(os, multiarchOfNode(process.arch)),
    hasGcc: isTold,
  };
}

/** @param etc the folder, for tests */
export async function readSystemFiles(etc = '/etc'): Promise<SystemFiles> {
  const osRelease =
    (await textOf(join(etc, 'os-release'))) ?? (await textOf(join(etc, '../usr/lib/os-release')));
  // On most systems os-release is enough; lsb_release takes a tenth of a second.
  if (parseSystem({ osRelease }).every((part) => part !== '')) return { osRelease };
  return {
    osRelease,
    lsbRelease: await outputOf('lsb_release', ['-a']),
    releaseFile: await findReleaseFile(etc),
    debianVersion: await textOf(join(etc, 'debian_version')),
  };
}

/** Names that match the pattern but don't identify the distribution. */
const OTHER_FILES: ReadonlySet<string> = new Set([
  ...['debian_version', 'lsb-release', 'oem-release', 'os-release', 'system-release'],
  ...['plesk-release', 'iredmail-release'],
]);

async function findReleaseFile(etc: string): Promise<SystemFiles['releaseFile']> {
  const names = (await readdir(etc)).filter(
    (name) => /^\w+[-_](release|version)$/.test(name) && !OTHER_FILES.has(name),
  );
  for (const name of names.sort()) {
    const text = await textOf(join(etc, name));
    if (text !== undefined && text !== '') return { name, line: text.split('\n', 1)[0] ?? '' };
  }
  return undefined;
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(path)).toString('utf8');
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // Missing, a folder, or not readable: `distro` skips it, too.
  }
}

/** Output of a program; undefined if it is missing or fails. */
async function outputOf(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    return (await promisify(execFile)(program, args, { encoding: 'utf8' })).stdout;
  } catch (error) {
    throwProgrammingError(error);
    return undefined;
  }
}
