import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isSea } from 'node:sea';
import { createHasher } from '../../cache/digest.ts';
import { CacheError, shortReasonOf, systemCode } from '../../cache/errors.ts';
import { checkRoom } from '../../storage/free-space.ts';
import { readIfThere } from '../files.ts';
import { configOf } from '../site-folder.ts';
import { packagesOn } from './packages.ts';
import { PROGRAM_FILES } from './manifest.ts';
import type { MediumRoot } from './medium-root.ts';
import { digestObject } from './object-digest.ts';

/** This program as one file (scripts/build-executable.ts), which runs where nothing is installed. */
interface ProgramFile {
  readonly name: typeof PROGRAM_FILES.x64 | typeof PROGRAM_FILES.arm64;
  readonly content: Buffer;
}

/** The file of this process, if it is such a file. */
export function ownProgram(): readonly string[] {
  return isSea() ? [process.execPath] : [];
}

/**
 * Puts executables on a medium, one for each architecture, with a text for the person who mounts it, and a config.ini unless there
 * is one, so that they serve the medium. Equal files are not written again.
 * @param files paths of executables; the last one of an architecture counts
 * @returns which files were written, and which were there already; by their names, those of `PROGRAM_FILES`
 * @param onNoRoom receives the reason if the medium can't take them: releases count more, and nothing is thrown
 * @throws CacheError `usage`: a file is no such executable; `storage`, `no-space`
 */
export async function placeProgram(
  root: MediumRoot,
  files: readonly string[],
  onNoRoom?: (reason: string) => void,
): Promise<{ readonly made: readonly string[]; readonly kept: readonly string[] }> {
  const made: string[] = [];
  const kept: string[] = [];
  const place = async (name: string, content: Buffer, mode: number): Promise<void> => {
    const isThere = await isSame(root.folder, name, content);
    if (!isThere) {
      await checkRoom(root.folder, content.length, 0);
      await root.replaceFile(name, content, mode);
    }
    (isThere ? kept : made).push(name);
  };
  const programs = new Map<string, Buffer>();
  for (const { name, content } of await Promise.all(files.map(readProgram))) programs.set(name, content);
  if (programs.size === 0) return { made, kept };
  try {
    for (const [name, content] of programs) await place(name, content, 0o755);
  } catch (error) {
    if (onNoRoom === undefined || !(error instanceof CacheError) || !isLackOfRoom(error)) throw error;
    onNoRoom(error.message);
    return { made, kept };
  }
  await place(PROGRAM_FILES.readme, Buffer.from(README), 0o644);
  if ((await readIfThere(join(root.folder, 'config.ini'))) === undefined)
    await root.replaceFile('config.ini', configOf({ trusted: [], hasKey: false }));
  return { made, kept };
}

/** FAT and quotas also limit the size of a file. */
function isLackOfRoom({ code, cause }: CacheError): boolean {
  return code === 'no-space' || systemCode(cause) === 'EFBIG';
}

/** Machines of elf(5). */
const NAMES = new Map([
  [0x3e, PROGRAM_FILES.x64],
  [0xb7, PROGRAM_FILES.arm64],
]);
/** Node's mark of an executable that has a program in it, without its beginning: it may stand there once only. */
const FUSE = '_fce680ab2cc467b6e072b8b5df1996b2:1';

/** @throws CacheError `usage` */
async function readProgram(file: string): Promise<ProgramFile> {
  let content: Buffer;
  try {
    content = await readFile(file);
  } catch (error) {
    throw new CacheError('usage', `${file}: can't be read (${shortReasonOf(error)}); name an executable`, {
      cause: error,
    });
  }
  const isElf = content.length > 0x40 && content.subarray(0, 4).toString('latin1') === '\x7fELF';
  const name = isElf ? NAMES.get(content.readUInt16LE(0x12)) : undefined;
  if (name !== undefined && content.includes(FUSE)) return { name, content };
  throw new CacheError(
    'usage',
    `${file} is not an executable of this program; name cache-linux-x64 or cache-linux-arm64, which "npm run build:executable" makes`,
  );
}

async function isSame(folder: string, name: string, content: Buffer): Promise<boolean> {
  const stats = await stat(join(folder, name)).catch(() => undefined);
  if (stats?.size !== content.length) return false;
  const hasher = createHasher();
  hasher.update(content);
  return (await digestObject(packagesOn(folder), name))?.sha512 === hasher.digest();
}

const README = `This disk carries software releases for SlapOS, with the program that serves them: nothing else needs to be installed.
Type on the offline machine, as root, with the folder of this disk for /mnt/device (on ARM64: cache-arm64 for cache):
  /mnt/device/cache serve                 serves the releases of this disk on port 5050, and says how nodes use it
If that is "Permission denied", because the disk is FAT or is mounted "noexec", copy the program first:
  install -m 755 /mnt/device/cache /usr/local/bin/cache && cache serve -c /mnt/device/config.ini
To verify the program before it runs, and to know whose disk this is: see "The master" in docs/standalone-master.md.
To keep the releases on the machine, verified, compare the fingerprint that "cache init" shows with that of the exporter:
  /mnt/device/cache init /srv/shacache --no-key --trust /mnt/device/miscellaneous/sign.crt
  cd /srv/shacache && /mnt/device/cache import /mnt/device && /mnt/device/cache serve
All commands: /mnt/device/cache --help
`;
