import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { quoteForShell } from '../cache/shell.ts';
import type { Config } from '../config/config.ts';
import { OWN_NAMES } from '../storage/store-folder.ts';
import { isWithin, realPathOf } from './is-within.ts';
import { packagesFolderOf, tlsFilesOf } from './site-paths.ts';

/*
 * Checks configured paths before any work, so that a mistyped path is reported with its place in the configuration,
 * not as a failing disk. Other faults are reported on use.
 */

/** @throws CacheError `config`: the store's folder is a file */
export async function checkStorePath({ file, store }: Config): Promise<void> {
  if (store.bucket === undefined && (await kindOf(store.path)) === 'file')
    throw wrong(file, '[store] path', `${store.path} is no folder`);
}

/** @throws CacheError `config`: a missing file of `[access]` or for TLS */
export async function checkNamedFiles(config: Config): Promise<void> {
  const [fault] = (await faultsOfNamedFiles(config)).values();
  if (fault !== undefined) throw fault;
}

/** All missing files of `[access]` and for TLS: a CacheError `config` by path. */
export async function faultsOfNamedFiles({
  file,
  access,
  server: { tls },
}: Config): Promise<ReadonlyMap<string, CacheError>> {
  const files = {
    '[server] tls-certificate': tls.mode === 'on' ? tls.certificateFile : undefined,
    '[server] tls-key': tls.mode === 'on' ? tls.keyFile : undefined,
    '[access] htpasswd-file': access.htpasswdFile,
    '[access] client-ca-file': access.clientCaFile,
    '[access] ldap-ca-file': access.ldap?.caFile,
  };
  const faults = new Map<string, CacheError>();
  for (const [key, path] of Object.entries(files)) {
    if (path === undefined) continue;
    const kind = await kindOf(path);
    if (kind === 'folder') faults.set(path, wrong(file, key, `${path} is a folder`));
    if (kind === 'nothing') faults.set(path, wrong(file, key, `there is no file ${path}`));
  }
  return faults;
}

function wrong(file: string | undefined, key: string, what: string): CacheError {
  return new CacheError('config', `${file ?? 'configuration'}: ${key}: ${what}; correct the path`);
}

/**
 * @param argument the command-line argument, for messages
 * @throws CacheError `usage`: a file, where a folder is expected
 */
export async function checkIsNoFile(argument: string, path: string): Promise<void> {
  if ((await kindOf(path)) === 'file')
    throw new CacheError(
      'usage',
      `${argument}: ${path} is no folder; name the folder of a store, a medium, or the URL of a running cache`,
    );
}

/** Returns `file` also for a path inside a file. */
async function kindOf(path: string): Promise<'folder' | 'file' | 'nothing' | 'unknown'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') return 'file';
    return code === 'ENOENT' ? 'nothing' : 'unknown';
  }
}

/**
 * The current folder may be a medium that was in other hands: unless the configuration was named, it must not have this
 * site sign, by a path or by a link.
 * @throws CacheError `config`
 */
export function checkKeyIsInside(config: Config): Promise<void> {
  return checkAreInside(config, new Map([[config.signature.privateKeyFile, '[signature] private-key-file']]));
}

/** Nor may the certificate of a new key become a file elsewhere. @throws CacheError `config` */
export function checkCertificateIsInside(config: Config): Promise<void> {
  return checkAreInside(
    config,
    new Map([[config.signature.certificateFile, '[signature] certificate-file']]),
  );
}

/**
 * Nor must it have this machine write outside of the folder, such as packages into a folder of the system.
 * @param isServer whether also what only a server writes is checked
 * @throws CacheError `config`
 */
export function checkWrittenIsInside(config: Config, isServer: boolean): Promise<void> {
  const { store, server } = config;
  const written = new Map<string, string>();
  const add = (key: string, paths: readonly (string | undefined)[]): void => {
    for (const path of paths) if (path !== undefined) written.set(path, key);
  };
  if (store.bucket === undefined) add('[store] path', withFoldersOf(store.path));
  add(store.bucket === undefined ? '[store] path' : '[store] url', [packagesFolderOf(config)]);
  if (isServer) {
    const { folder } = store.bucket?.localCache ?? {};
    if (folder !== undefined) add('[store] local-cache', withFoldersOf(folder));
    const { certificateFile, keyFile } = (server.tls.mode === 'auto' && tlsFilesOf(config)) || {};
    add('[server] tls', [keyFile, certificateFile, certificateFile && `${certificateFile}.replaced`]);
  }
  return checkAreInside(config, written);
}

/** The folder of a store or local cache with those in it, of which a link may join another. */
function withFoldersOf(store: string): readonly string[] {
  return [store, ...Array.from(OWN_NAMES, (name) => join(store, name))];
}

/** @param keys by path */
async function checkAreInside(
  { file, folder, isOfFolder }: Config,
  keys: ReadonlyMap<string, string>,
): Promise<void> {
  if (file !== undefined && !isOfFolder) return;
  const own = await realPathOf(file === undefined ? folder : dirname(file));
  for (const [path, key] of keys) {
    const real = await realPathOf(path);
    if (isWithin(real, own)) continue;
    if (file === undefined) {
      throw new CacheError(
        'config',
        `${path} leads to ${real}, outside the current folder; to use it anyway, make an empty config.ini and add: -c config.ini`,
      );
    }
    const what = path === real ? `${key} = ${path} is` : `${key}: ${path} leads to ${real},`;
    throw new CacheError(
      'config',
      `${file}: ${what} outside the current folder, where this configuration was found; to use it anyway: -c ${quoteForShell(file)}`,
    );
  }
}
