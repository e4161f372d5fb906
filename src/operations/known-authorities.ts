import { rootCertificates } from 'node:tls';
import { readIfThere } from './files.ts';

/** Debian and derivatives; Red Hat and derivatives. */
const SYSTEM_CA_FILES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'];

/**
 * The certificates, in PEM, of all authorities that this machine trusts: Node's, the system's (which may include a
 * company's own), and `NODE_EXTRA_CA_CERTS`. The list must be complete, because TLS takes it in place of its default.
 */
export async function readKnownAuthorities(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<readonly string[]> {
  // Node itself warns if the variable's file is missing.
  const extra = environment['NODE_EXTRA_CA_CERTS'] ?? '';
  const files = [...SYSTEM_CA_FILES, ...(extra === '' ? [] : [extra])];
  const pems = await Promise.all(files.map(readIfThere));
  return [...rootCertificates, ...pems.filter((pem) => pem !== undefined)];
}
