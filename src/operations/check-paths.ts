import { stat } from 'node:fs/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';

/*
 * Paths that somebody wrote down, looked at before anything is done: a slip there is told as one, with the place where it
 * stands, rather than as a failing disk. What else is wrong with them is told by whoever opens them.
 */

/** @throws CacheError `config`: the store's folder is a file */
export async function checkStorePath({ file, store }: Config): Promise<void> {
  if ((await kindOf(store.path)) === 'file') throw wrong(file, '[store] path', `${store.path} is no folder`);
}

/** @throws CacheError `config`: a file of `[access]` or for TLS that isn't there */
export async function checkNamedFiles({ file, access, server: { tls } }: Config): Promise<void> {
  const files = {
    '[server] tls-certificate': tls.mode === 'on' ? tls.certificateFile : undefined,
    '[server] tls-key': tls.mode === 'on' ? tls.keyFile : undefined,
    '[access] htpasswd-file': access.htpasswdFile,
    '[access] client-ca-file': access.clientCaFile,
    '[access] ldap-ca-file': access.ldap?.caFile,
  };
  for (const [key, path] of Object.entries(files)) {
    if (path === undefined) continue;
    const kind = await kindOf(path);
    if (kind === 'folder') throw wrong(file, key, `${path} is a folder`);
    if (kind === 'nothing') throw wrong(file, key, `there is no file ${path}`);
  }
}

function wrong(file: string | undefined, key: string, what: string): CacheError {
  return new CacheError('config', `${file ?? 'configuration'}: ${key}: ${what}; correct the path`);
}

/**
 * @param argument that it was given as, for messages
 * @throws CacheError `usage`: a file, where a folder is meant
 */
export async function checkIsNoFile(argument: string, path: string): Promise<void> {
  if ((await kindOf(path)) === 'file')
    throw new CacheError(
      'usage',
      `${argument}: ${path} is no folder; name the folder of a store, a medium, or the URL of a running cache`,
    );
}

/** `file` also for what would be inside of one. */
async function kindOf(path: string): Promise<'folder' | 'file' | 'nothing' | 'unknown'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') return 'file';
    return code === 'ENOENT' ? 'nothing' : 'unknown';
  }
}
