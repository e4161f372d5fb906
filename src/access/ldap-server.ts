import { createSecureContext, type SecureContext } from 'node:tls';
import { CacheError, shortReasonOf } from '../cache/errors.ts';
import { readSmallFile } from '../files/small-file.ts';
import { certificateBlocks, readCertificate } from '../cache/certificate.ts';

export interface LdapServerOptions {
  /** `ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]` */
  readonly url: string;
  /** Only with `ldap://`. */
  readonly startTls: boolean;
  /** PEM file with the CA certificates of the server; undefined: `knownAuthorities`. */
  readonly caFile: string | undefined;
  /** CA certificates in PEM; Node's own by default. */
  readonly knownAuthorities?: readonly string[];
}

/** The address of an LDAP server, and how to connect. */
export interface LdapServer {
  readonly host: string;
  readonly port: number;
  readonly security: 'none' | 'start-tls' | 'tls';
  readonly secureContext: SecureContext;
}

/** @throws CacheError `config` when the CA file can't be read or holds no certificate */
export async function openLdapServer({
  url,
  startTls,
  caFile,
  knownAuthorities,
}: LdapServerOptions): Promise<LdapServer> {
  const { protocol, hostname, port } = new URL(url);
  const isTls = protocol === 'ldaps:';
  const security = isTls ? 'tls' : startTls ? 'start-tls' : 'none';
  const ca = security === 'none' || caFile === undefined ? knownAuthorities : await readCa(caFile);
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (isTls ? 636 : 389) : Number(port),
    security,
    secureContext: createSecureContext({ ...(ca && { ca: [...ca] }), minVersion: 'TLSv1.2' }),
  };
}

async function readCa(file: string): Promise<string[]> {
  try {
    const certificates = certificateBlocks((await readSmallFile(file)).toString('latin1'));
    // Node silently ignores an invalid certificate in a list of CAs.
    for (const certificate of certificates) readCertificate(certificate, file);
    if (certificates.length === 0) throw new Error('it contains no PEM certificate');
    return [...certificates];
  } catch (error) {
    const reason = shortReasonOf(error);
    throw new CacheError('config', `${file}: can't be used to check the LDAP server: ${reason}`, {
      cause: error,
    });
  }
}
