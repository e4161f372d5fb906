import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { readIfThere } from './files.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Debian and derivatives; Red Hat and derivatives. */
const SYSTEM_CA_FILES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt'];

/**
 * The certificates, in PEM, of all authorities that this machine trusts: Node's, the system's (which may include a
 * company's own), `NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE` and `SSL_CERT_DIR`. The list must be complete, because TLS takes it in place of its
 * default.
 */
export async function readKnownAuthorities(environment: Environment): Promise<readonly string[]> {
  // Node itself warns if the variable's file is missing.
  const extra = environment['NODE_EXTRA_CA_CERTS'] ?? '';
  const files = [...SYSTEM_CA_FILES, ...(extra === '' ? [] : [extra])];
  const pems = await Promise.all(files.map(readIfThere));
  const isSet = environment['SSL_CERT_FILE'] !== undefined || environment['SSL_CERT_DIR'] !== undefined;
  const openssl = isSet ? await readPythonAuthorities(environment) : [];
  return [...rootCertificates, ...pems.filter((pem) => pem !== undefined), ...openssl];
}

/** Default files and folders of the OpenSSL of Debian, of Red Hat and of others. */
const OPENSSL_FILES = ['/usr/lib/ssl/cert.pem', '/etc/pki/tls/cert.pem', '/etc/ssl/cert.pem'];
const OPENSSL_FOLDERS = ['/etc/ssl/certs', '/etc/pki/tls/certs'];
/** OpenSSL reads only files that are named by the hash of the subject. */
const HASHED = /^[0-9a-f]{8}\.\d+$/;

/**
 * The certificates, in PEM, of the authorities that a Python of this machine trusts by default: `SSL_CERT_FILE` or the file of
 * OpenSSL, `SSL_CERT_DIR` or its folder.
 */
export async function readPythonAuthorities(environment: Environment): Promise<readonly string[]> {
  const file = environment['SSL_CERT_FILE'];
  const folder = environment['SSL_CERT_DIR'];
  const folders = folder === undefined ? OPENSSL_FOLDERS : folder.split(':').filter((name) => name !== '');
  const hashed = await Promise.all(folders.map(hashedFiles));
  const files = [...(file === undefined ? OPENSSL_FILES : [file]), ...hashed.flat()].filter(
    (name) => name !== '',
  );
  const pems = await Promise.all(files.map(readIfThere));
  return pems.filter((pem) => pem !== undefined);
}

async function hashedFiles(folder: string): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((name) => HASHED.test(name)).map((name) => join(folder, name));
  } catch (error) {
    throwUnlessAbsent(error, `can't read ${folder}`);
    return [];
  }
}
