import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CacheError, shortReasonOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { readSmallFile } from '../files/small-file.ts';
import { type Config, defaultConfig, parseConfig } from './config.ts';

/** Where a configuration file is sought. */
export interface ConfigSearch {
  /** What `-c` says. */
  readonly option?: string | undefined;
  /** `SHACACHE_CONFIG` is read; empty counts as not set. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Sought last. */
  readonly systemFile?: string;
}

/**
 * The absolute path of the configuration file: of `-c FILE`, `$SHACACHE_CONFIG`, `./config.ini` and
 * `/etc/shacache/config.ini` the first that is given or there; undefined when none is.
 * @throws CacheError `config` when a file that was named isn't there, or one can't be looked at
 */
export async function findConfigFile(search: ConfigSearch): Promise<string | undefined> {
  const { option, env, cwd, systemFile = '/etc/shacache/config.ini' } = search;
  if (option !== undefined) return await namedFile(option, cwd, 'named by -c');
  const variable = env['SHACACHE_CONFIG'];
  if (isSet(variable)) return await namedFile(variable, cwd, 'named by $SHACACHE_CONFIG');
  for (const file of [fileOfFolder(cwd), systemFile]) {
    if (await isThere(file)) return file;
  }
  return undefined;
}

/**
 * The configuration of the file that `findConfigFile` finds, or the defaults when there is none.
 * @throws CacheError `config`
 */
export async function loadConfig(search: ConfigSearch): Promise<Config> {
  const file = await findConfigFile(search);
  if (file === undefined) return defaultConfig(search.cwd);
  const { option, env, cwd } = search;
  const isNamed = option !== undefined || isSet(env['SHACACHE_CONFIG']);
  const isOfFolder = !isNamed && file === fileOfFolder(cwd);
  return parseConfig(await readConfigText(file), { file, isOfFolder, cwd });
}

function isSet(variable: string | undefined): variable is string {
  return variable !== undefined && variable !== '';
}

function fileOfFolder(cwd: string): string {
  return resolve(cwd, 'config.ini');
}

async function namedFile(name: string, cwd: string, how: string): Promise<string> {
  if (name === '') throw new CacheError('config', `no configuration file ${how}; write its path`);
  const file = resolve(cwd, name);
  if (await isThere(file)) return file;
  throw new CacheError(
    'config',
    `${file}: no such configuration file, ${how}; correct the path or create the file`,
  );
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

/** The text of a configuration, byte for byte. @throws CacheError `config` */
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
