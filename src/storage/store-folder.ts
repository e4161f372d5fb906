import { lstat, readdir, readlink, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheError, systemCode, throwProgrammingError } from '../cache/errors.ts';
import {
  BLOBS,
  CUSTODY_FILE,
  DIRECTORY,
  EXPORTS,
  IMPORTS,
  LOG,
  PARTS,
  QUARANTINE,
  SCRUB_FILE,
  STORE_FILE,
  STORE_FORMAT,
  TRIPS,
} from '../cache/layout.ts';
import { readSmallFile } from '../files/small-file.ts';
import { readError, storageError, throwUnlessAbsent } from './storage-error.ts';
import { nameOfTaken, putBack } from './taken-object.ts';
import { isLeftover, tellsOwner } from './temporary-name.ts';

/** The folder of objects being written, on the store's file system, because a rename gives them their name. */
export const TEMPORARY = 'tmp';

/** @returns the format in store.json; undefined if the file is missing */
export async function readFormat(root: string): Promise<unknown> {
  const path = join(root, STORE_FILE);
  let text: string;
  try {
    text = (await readSmallFile(path)).toString('utf8');
  } catch (error) {
    throwUnlessAbsent(error, `can't read ${path}`, readError);
    return undefined;
  }
  return parseMark(path, text);
}

/** The format that a mark tells. @param path for messages @throws DamagedMark */
export function parseMark(path: string, text: string): unknown {
  try {
    const content: unknown = JSON.parse(text);
    if (typeof content === 'object' && content !== null && 'format' in content) return content.format;
  } catch (error) {
    throwProgrammingError(error);
    throw new DamagedMark(path, 'it is not JSON', error);
  }
  throw new DamagedMark(path, 'it has no format');
}

/** The mark `store.json` is invalid. */
export class DamagedMark extends CacheError {
  constructor(path: string, what: string, cause?: unknown) {
    super('damaged', `${path} is damaged: ${what}; restore it as {"format": ${STORE_FORMAT}}`, { cause });
  }
}

/**
 * Whether a folder has the mark of a store. Refuses an unmarked folder with other files, which must not become a store.
 * @throws CacheError `storage`
 */
export async function isMarked(root: string): Promise<boolean> {
  let names: string[];
  try {
    names = await readdir(root);
  } catch (error) {
    throwUnlessAbsent(error, `can't make the store ${root}`);
    return false;
  }
  return hasMark(root, names, 'folder');
}

/** The same for the names that are in a place. */
export function hasMark(root: string, names: readonly string[], kind: 'folder' | 'prefix'): boolean {
  if (names.includes(STORE_FILE)) return true;
  const others = othersIn(names);
  if (others === '') return false;
  throw new CacheError(
    'storage',
    `${root} is not a store and not empty (it holds ${others}); name an empty ${kind}`,
  );
}

/** The first names that no store has. */
function othersIn(names: readonly string[]): string {
  return names
    .filter((name) => !OWN_NAMES.has(name))
    .slice(0, 3)
    .join(', ');
}

const STORE_FOLDERS = [BLOBS, DIRECTORY].map((prefix) => prefix.slice(0, -1));

/** Names that a folder may hold to become a store; a new ext4 file system has a lost+found. */
export const OWN_NAMES: ReadonlySet<string> = new Set([
  ...STORE_FOLDERS,
  ...[IMPORTS, PARTS, EXPORTS, TRIPS, LOG].map((prefix) => prefix.slice(0, -1)),
  TEMPORARY,
  CUSTODY_FILE,
  QUARANTINE.slice(0, -1),
  SCRUB_FILE,
  'lost+found',
]);

/** There is no store at a location. */
export class NoStore extends CacheError {
  constructor(message: string) {
    super('storage', message);
  }
}

/** Accepts a store assembled by copying `bcache` and `bdir`. @throws NoStore */
export async function checkIsStore(root: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(root);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw storageError(error, `can't read the store ${root}`);
    throw new NoStore(`there is no store at ${root}; is its disk mounted?`);
  }
  const others = othersUnlessStore(names);
  if (others === undefined) return;
  throw new NoStore(
    others === ''
      ? `${root} is not a store: it has no ${STORE_FILE}; is its disk mounted?`
      : `${root} is not a store: it has no ${STORE_FILE}, but ${others}; is its disk mounted, and is this its path?`,
  );
}

/** What is in a place without blobs and entries; undefined if it has these. */
export function othersUnlessStore(names: readonly string[]): string | undefined {
  if (STORE_FOLDERS.some((name) => names.includes(name))) return undefined;
  return othersIn(names.filter((name) => name !== STORE_FILE));
}

/**
 * Confirms a miss, which counts only if the store is there, and so is any disk that a link joins to it. An unplugged
 * disk leaves an empty mount point, where every object seems to be missing.
 * @param name of the missed object
 */
export async function checkIsStillThere(root: string, name = ''): Promise<void> {
  await checkMark(root);
  const [folder = ''] = name.split('/', 1);
  if (folder !== '') await checkFolder(join(root, folder));
}

async function checkMark(root: string): Promise<void> {
  try {
    await lstat(join(root, STORE_FILE));
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${join(root, STORE_FILE)}`);
    await checkIsStore(root);
  }
}

/** Refuses a link that leads nowhere: its disk is not mounted. */
export async function checkFolder(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${path}`, readError);
    const target = await readlink(path).catch(() => undefined);
    if (target !== undefined)
      throw new CacheError(
        'storage',
        `${path} is a link to ${target}, which is not there; is its disk mounted?`,
      );
  }
}

/** Removes leftovers of killed writers. Cheap: the folder holds only files being written. */
export async function removeLeftovers(root: string): Promise<void> {
  for await (const name of leftoversIn(root)) await removeLeftover(root, name);
}

/** Puts back an object that a killed process had hidden; removes any other leftover. */
export async function removeLeftover(root: string, fileName: string): Promise<void> {
  const path = join(root, TEMPORARY, fileName);
  const name = nameOfTaken(fileName);
  try {
    if (name === undefined) await rm(path, { recursive: true });
    else await putBack(root, path, name);
  } catch (error) {
    throwUnlessAbsent(error, `can't clean up ${path}`);
  }
}

/**
 * Leftovers of killed writers. A link may lead to a foreign folder, where only names of temporary files count.
 */
export async function* leftoversIn(root: string): AsyncGenerator<string> {
  const folder = join(root, TEMPORARY);
  try {
    const isLink = (await lstat(folder)).isSymbolicLink();
    for (const name of await readdir(folder)) {
      if (isLink && !tellsOwner(name)) continue;
      const stats = await lstat(join(folder, name)).catch((error: unknown) => {
        throwUnlessAbsent(error, `can't look at ${join(folder, name)}`);
        return undefined;
      });
      // A hidden object keeps its mtime; its ctime is the time when it was hidden.
      const since = nameOfTaken(name) === undefined ? stats?.mtimeMs : stats?.ctimeMs;
      if (since !== undefined && isLeftover(name, since)) yield name;
    }
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${folder}`);
  }
}
