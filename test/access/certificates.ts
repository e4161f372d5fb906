import { join } from 'node:path';
import { run } from './command.ts';

/** Files of a CA and of a server's key and certificate, in PEM. */
export interface CertificateFiles {
  readonly ca: string;
  /** Of a CA that signed nothing. */
  readonly otherCa: string;
  readonly key: string;
  readonly certificate: string;
}

/** Makes them by openssl. The server's certificate is for the name `localhost` and for no address. */
export function makeCertificates(folder: string): CertificateFiles {
  const file = (name: string) => join(folder, name);
  const newKey = ['-newkey', 'rsa:2048', '-nodes', '-sha256'];
  for (const name of ['ca', 'other-ca']) {
    run('openssl', [
      ...['req', '-x509', ...newKey, '-days', '2', '-subj', `/CN=${name}`],
      ...['-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)],
    ]);
  }
  run('openssl', [
    ...['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=ldap server'],
    ...['-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE'],
    ...['-CA', file('ca.pem'), '-CAkey', file('ca.key')],
    ...['-keyout', file('server.key'), '-out', file('server.pem')],
  ]);
  return {
    ca: file('ca.pem'),
    otherCa: file('other-ca.pem'),
    key: file('server.key'),
    certificate: file('server.pem'),
  };
}
