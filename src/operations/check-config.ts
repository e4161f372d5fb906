import { readHtpasswdFile } from '../access/htpasswd-file.ts';
import { parseCertificate } from '../cache/certificate.ts';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import { faultsOfNamedFiles } from './check-paths.ts';
import { readIfThere } from './files.ts';
import { warnOfExposure } from './key-exposure.ts';
import { hasSigningKey, readSigner } from './signing-key.ts';
import { createSite, type Messages } from './site.ts';
import { tlsFilesOf } from './site-paths.ts';
import { readCaFile, readTlsMaterial } from './tls-certificate.ts';
import { readTrustedPems } from './trust-certificates.ts';

/**
 * All faults of what a configuration names: its store, and each file, read as the current user. Writes nothing.
 * @param messages receive notes that are no faults
 */
export async function findConfigFaults(config: Config, messages: Messages): Promise<readonly CacheError[]> {
  const missing = await faultsOfNamedFiles(config);
  const faults = [...missing.values()];
  const attempt = async (check: () => unknown): Promise<void> => {
    try {
      await check();
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      faults.push(error);
    }
  };
  const attemptFile = async (path: string | undefined, check: (path: string) => unknown): Promise<void> => {
    if (path !== undefined && !missing.has(path)) await attempt(() => check(path));
  };
  const { file, access, upstream } = config;
  // Without a configuration the first write makes the store.
  if (file !== undefined) await attempt(() => createSite(config, messages).store('read'));
  await attempt(() => checkSigningKey(config, messages));
  await attempt(async () => {
    for (const { pem, where } of await readTrustedPems(config))
      await attempt(() => parseCertificate(pem, where));
  });
  await checkTls(config, missing, attempt);
  await attemptFile(access.htpasswdFile, readHtpasswdFile);
  await attemptFile(access.ldap?.caFile, (path) => readCaFile(path, '[access] ldap-ca-file'));
  await attemptFile(upstream?.caFile, (path) => readCaFile(path, '[upstream] ca-file'));
  return faults;
}

/** A server that runs as another user than the owner of the key can't read it, and needn't. */
async function checkSigningKey({ signature }: Config, messages: Messages): Promise<void> {
  try {
    if (!(await hasSigningKey(signature))) return;
  } catch (error) {
    if (!(error instanceof CacheError) || systemCode(error.cause) !== 'EACCES') throw error;
    messages.tell(`note: this user can't read ${signature.privateKeyFile}, and can't sign`);
    return;
  }
  await readSigner(signature);
  await warnOfExposure(signature.privateKeyFile, messages);
}

async function checkTls(
  config: Config,
  missing: ReadonlyMap<string, CacheError>,
  attempt: (check: () => unknown) => Promise<void>,
): Promise<void> {
  const files = tlsFilesOf(config);
  if (files === undefined) return;
  const { certificateFile, keyFile, clientCaFile } = files;
  if ([certificateFile, keyFile, clientCaFile ?? ''].some((path) => missing.has(path))) return;
  await attempt(async () => {
    // With "auto" the server makes both when it starts.
    const isMade = config.server.tls.mode === 'on' || (await readIfThere(certificateFile)) !== undefined;
    if (isMade) await readTlsMaterial(files);
  });
}
