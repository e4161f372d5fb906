import type { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import type { AccessControl } from '../http/access-control.ts';
import { readKnownAuthorities } from '../operations/known-authorities.ts';

/**
 * Access control from the section `[access]`.
 * @param report receives problems with files and groups while the server runs
 * @throws CacheError `config`
 */
export async function createAccess(
  { access }: Config,
  report: (problem: CacheError) => void,
): Promise<AccessControl> {
  const { htpasswdFile, ldap, clientCaFile } = access;
  if (htpasswdFile === undefined && ldap === undefined && clientCaFile === undefined) {
    return { anonymous: access.anonymous === 'none' ? undefined : access.anonymous };
  }
  // Most sites have no users and needn't load the libraries for passwords and LDAP.
  const { createAuthenticator } = await import('../access/authenticator.ts');
  const knownAuthorities = ldap === undefined ? [] : await readKnownAuthorities(process.env);
  const authenticator = await createAuthenticator(
    { ...access, ldap: ldap && { ...ldap, knownAuthorities } },
    { report },
  );
  return {
    anonymous: authenticator.anonymous,
    ...(authenticator.acceptsPasswords
      ? { withPassword: (name, password, remote) => authenticator.withPassword(name, password, remote) }
      : {}),
    ...(clientCaFile === undefined
      ? {}
      : { withCertificate: (commonName) => authenticator.withCertificate(commonName) }),
  };
}
