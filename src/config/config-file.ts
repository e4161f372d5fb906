import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CacheError, shortReasonOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { readSmallFile } from '../files/small-file.ts';
import { type Config, defaultConfig, parseConfig } from './config.ts';

/** Where to search a configuration file. */
export interface ConfigSearch {
  /** The value of `-c`. */
  readonly option?: string | undefined;
  /** `SHACACHE_CONFIG` is read; empty counts as not set. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Searched last. */
  readonly systemFile?: string;
}

/**
 * The absolute path of the configuration file: the first of `-c FILE`, `$SHACACHE_CONFIG`, `./config.ini` and
 * `/etc/shacache/config.ini`; undefined if there is none.
 * @throws CacheError `config` when a named file doesn't exist, or a file can't be accessed
 */
export async function findConfigFile(search: ConfigSearch): Promise<string | undefined> {
  const { option, env, cwd, systemFile = '/etc/shacache/config.ini' } = search;
  if (option !== undefined) return await namedFile(option, cwd, '-c');
  const variable = env['SHACACHE_CONFIG'];
  if (isSet(variable)) return await namedFile(variable, cwd, '$SHACACHE_CONFIG');
  for (const file of [fileOfFolder(cwd), systemFile]) {
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
  if (file === undefined) return defaultConfig(search.cwd);
  const { option, env, cwd } = search;
  const isNamed = option !== undefined;
  const isOfFolder = !isNamed && !isSet(env['SHACACHE_CONFIG']) && file === fileOfFolder(cwd);
  return parseConfig(await readConfigText(file), { file, isNamed, isOfFolder, cwd });
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
  const reason = shortReasonOf(cause);
  return new CacheError(
    'config',
    `${file}: can't be read (${reason}); check that it is a file and its permissions`,
    { cause },
  );
}
