import { stat } from 'node:fs/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';

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
