import { realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { CacheError, shortReasonOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { systemFault } from '../cache/system-fault.ts';
import { readSmallFile } from '../files/small-file.ts';
import { type Config, defaultConfig, parseConfig } from './config.ts';

/** Where to search a configuration file. */
export interface ConfigSearch {
  /** The value of `-c`. */
  readonly option?: string | undefined;
  /** `SHACACHE_CONFIG` is read; empty counts as not set. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly systemFile?: string;
  /** The folder of the medium or site that the program itself is on; searched last. */
  readonly medium?: string | undefined;
}

/** A place where a configuration file is searched. */
export interface ConfigPlace {
  /** `-c`, `$SHACACHE_CONFIG`, `./config.ini`, the path of the system's or that of the program's medium. */
  readonly place: string;
  /** Absolute path; undefined if the option or the variable is not given. */
  readonly file: string | undefined;
  /** The configuration is read from the place `used`; without one, the defaults apply. */
  readonly state: 'used' | 'not used' | 'missing' | 'not given';
}

/** The default of `ConfigSearch.systemFile`. */
const SYSTEM_FILE = '/etc/shacache/config.ini';

/** All places in the order of the search. @throws CacheError as `findConfigFile` */
export async function listConfigPlaces(search: ConfigSearch): Promise<readonly ConfigPlace[]> {
  const { option, env, cwd, systemFile = SYSTEM_FILE, medium } = search;
  const used = await findConfigFile(search);
  const variable = env['SHACACHE_CONFIG'];
  const places = [
    ['-c', option === undefined ? undefined : resolve(cwd, option)],
    ['$SHACACHE_CONFIG', isSet(variable) ? resolve(cwd, variable) : undefined],
    ['./config.ini', fileOfFolder(cwd)],
    [systemFile, systemFile],
    ...(medium === undefined ? [] : [[fileOfFolder(medium), fileOfFolder(medium)] as const]),
  ] as const;
  let isFound = false;
  const listed: ConfigPlace[] = [];
  for (const [place, file] of places) {
    const isUsed: boolean = !isFound && file !== undefined && file === used;
    isFound ||= isUsed;
    const state =
      file === undefined ? 'not given' : isUsed ? 'used' : (await isThere(file)) ? 'not used' : 'missing';
    listed.push({ place, file, state });
  }
  return listed;
}

/**
 * The absolute path of the configuration file: the first of `-c FILE`, `$SHACACHE_CONFIG`, `./config.ini`,
 * `/etc/shacache/config.ini` and the medium's; undefined if there is none.
 * @throws CacheError `config` when a named file doesn't exist, or a file can't be accessed
 */
export async function findConfigFile(search: ConfigSearch): Promise<string | undefined> {
  const { option, env, cwd, systemFile = SYSTEM_FILE, medium } = search;
  if (option !== undefined) return await namedFile(option, cwd, '-c');
  const variable = env['SHACACHE_CONFIG'];
  if (isSet(variable)) return await namedFile(variable, cwd, '$SHACACHE_CONFIG');
  for (const file of [
    fileOfFolder(cwd),
    systemFile,
    ...(medium === undefined ? [] : [fileOfFolder(medium)]),
  ]) {
    if (await isThere(file)) return file;
  }
  return undefined;
}

/**
 * Loads the configuration file that `findConfigFile` finds; without a file, the defaults.
 * @throws CacheError `config`
 */
export async function loadConfig(search: ConfigSearch): Promise<Config> {
  const file = await findConfigFile(search);
  const { option, env, cwd, systemFile = SYSTEM_FILE, medium } = search;
  if (file === undefined) return defaultConfig(cwd);
  const isNamed = option !== undefined;
  const isOfFolder =
    !isNamed &&
    !isSet(env['SHACACHE_CONFIG']) &&
    file !== systemFile &&
    [cwd, ...(medium === undefined ? [] : [medium])].map(fileOfFolder).includes(file);
  const text = await readConfigText(file);
  return parseConfig(text, { file, folder: await configFolderOf(file), isNamed, isOfFolder, cwd });
}

/** The folder that relative paths in a configuration begin from: where the file is, not a link to it. @throws CacheError `config` */
export async function configFolderOf(file: string): Promise<string> {
  try {
    return dirname(await realpath(file));
  } catch (error) {
    throw unreadable(file, error);
  }
}

function isSet(variable: string | undefined): variable is string {
  return variable !== undefined && variable !== '';
}

function fileOfFolder(cwd: string): string {
  return resolve(cwd, 'config.ini');
}

async function namedFile(name: string, cwd: string, source: string): Promise<string> {
  if (name === '')
    throw new CacheError('config', `${source}: no path; write the path of a configuration file`);
  const file = resolve(cwd, name);
  if (await isThere(file)) return file;
  throw new CacheError('config', `${source}: ${file} not found (is its disk mounted?)`);
}

async function isThere(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    throw unreadable(file, error);
  }
}

/** Reads the exact text of a configuration. @throws CacheError `config` */
export async function readConfigText(file: string): Promise<string> {
  const bytes = await readSmallFile(file).catch((error: unknown) => {
    throw unreadable(file, error);
  });
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('config', `${file}: not UTF-8 text; save it as UTF-8`, { cause: error });
  }
}

function unreadable(file: string, cause: unknown): CacheError {
  const code = systemCode(cause);
  const { advice } = (code === undefined ? undefined : systemFault(code)) ?? {};
  const what =
    code === 'EISDIR'
      ? 'is a folder; name a file in it, such as config.ini'
      : code === 'ENOENT'
        ? 'not found; correct the path'
        : `can't be read (${shortReasonOf(cause)})${advice === undefined ? '' : `; ${advice}`}`;
  return new CacheError('config', `${file}: ${what}`, { cause });
}
