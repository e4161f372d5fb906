import { rootCertificates } from 'node:tls';
import { readIfThere } from './files.ts';

/** Debian and its like; Red Hat and its like. */
const SYSTEM_CA_FILES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'];

/**
 * The certificates, in PEM, of all authorities that this machine knows: those that Node brings, those of the system, where a
 * company's own may be, and those of `NODE_EXTRA_CA_CERTS`. Whoever gives TLS a list of authorities gives all that count.
 */
export async function readKnownAuthorities(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  // Of a file of the variable that isn't there Node itself warns.
  const extra = environment['NODE_EXTRA_CA_CERTS'] ?? '';
  const files = [...SYSTEM_CA_FILES, ...(extra === '' ? [] : [extra])];
  const pems = await Promise.all(files.map(readIfThere));
  return [...rootCertificates, ...pems.filter((pem) => pem !== undefined)];
}
