import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CacheError, isUndecodable, shortReasonOf, systemCode } from '../../cache/errors.ts';
import { BLOBS, DIRECTORY, PARTS, STORE_FILE } from '../../cache/layout.ts';
import { OWN_NAMES } from '../../storage/store-folder.ts';
import {
  isCarriedName,
  isPackageName,
  PACKAGES_FOLDER,
  PROGRAM_FILES,
  STORE_FOLDER,
  type MediumFile,
} from './manifest.ts';

/** Files below a folder of a medium. Names are relative to the folder. */
export interface FolderFiles {
  /** Bytes of each file that a medium carries. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Names of other files, which don't belong there. */
  readonly strays: readonly string[];
}

/**
 * Lists every file of the medium's store without opening any. Skips files for the store's own use (log, import
 * records, unfinished writes), because they aren't carried.
 * @throws CacheError `storage`, `invalid-medium`
 */
export function listStoreFiles(medium: string): Promise<FolderFiles> {
  return listFiles(join(medium, STORE_FOLDER), (name) => isCarriedName(name), isForOwnUse);
}

/**
 * Lists every file below `packages/` of a medium, and those of the program, without opening any. Names are paths on the medium.
 * @throws CacheError `storage`, `invalid-medium`
 */
export async function listPackages(medium: string): Promise<FolderFiles> {
  const { sizes, strays } = await listFiles(join(medium, PACKAGES_FOLDER), isPackageName);
  const paths = new Map([...sizes].map(([name, size]) => [`${PACKAGES_FOLDER}/${name}`, size]));
  for (const name of Object.values(PROGRAM_FILES)) {
    const stats = await statsOf(join(medium, name));
    // A folder of this name is somebody's own.
    if (stats?.isFile()) paths.set(name, stats.size);
  }
  return { sizes: paths, strays: strays.map((name) => `${PACKAGES_FOLDER}/${name}`) };
}

/** @param isSkipped judges files and folders at the top */
async function listFiles(
  root: string,
  isCarried: (name: string) => boolean,
  isSkipped: (name: string) => boolean = () => false,
): Promise<FolderFiles> {
  const sizes = new Map<string, number>();
  const strays: string[] = [];
  const visit = async (folder: string): Promise<void> => {
    for (const item of await namesIn(join(root, folder))) {
      const name = folder + item;
      const stats = await statsOf(join(root, name));
      // Excludes links: writing or tidying behind one would change this machine.
      if (folder === '' && isSkipped(item) && !stats?.isSymbolicLink()) continue;
      if (stats?.isDirectory()) await visit(`${name}/`);
      else if (stats?.isFile() && isCarried(name)) sizes.set(name, stats.size);
      // A name that can't be decoded can't be looked up, but its file exists.
      else if (stats !== undefined || isUndecodable(item)) strays.push(name);
    }
  };
  if ((await statsOf(root))?.isSymbolicLink())
    throw new CacheError(
      'invalid-medium',
      `${root} is a link; a medium's ${basename(root)} is a folder of its own`,
    );
  await visit('');
  return { sizes, strays };
}

/** How files differ from those of a manifest, by name: they are missing or have another size. */
export function differencesOf(
  files: ReadonlyMap<string, MediumFile>,
  sizes: ReadonlyMap<string, number>,
): ReadonlyMap<string, string> {
  const differences = new Map<string, string>();
  for (const [name, { size }] of files) {
    const found = sizes.get(name);
    if (found === undefined) differences.set(name, 'missing');
    else if (found !== size) differences.set(name, `has ${found} bytes instead of ${size}`);
  }
  return differences;
}

const CARRIED: ReadonlySet<string> = new Set([
  STORE_FILE,
  ...[BLOBS, DIRECTORY, PARTS].map((prefix) => prefix.slice(0, -1)),
]);

function isForOwnUse(name: string): boolean {
  return OWN_NAMES.has(name) && !CARRIED.has(name);
}

async function namesIn(path: string): Promise<readonly string[]> {
  try {
    return await readdir(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw readError(path, error);
  }
}

async function statsOf(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw readError(path, error);
  }
}

function readError(path: string, error: unknown): CacheError {
  return new CacheError(
    'storage',
    `${path}: can't be read (${shortReasonOf(error)}); is the medium all right?`,
    { cause: error },
  );
}
