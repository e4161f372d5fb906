import { X509Certificate } from 'node:crypto';
import { CacheError } from '../cache/errors.ts';
import { configFolderOf, readConfigText } from '../config/config-file.ts';
import { parseConfig } from '../config/config.ts';
import { extendCertificateList } from '../config/extend-list.ts';
import { readIfThere, replaceFile } from './files.ts';

/** Result of `trustCertificates`. */
export interface Trusting {
  /** Certificates that were trusted before. */
  readonly known: readonly X509Certificate[];
  /** Certificates added to the `signature-certificate-list`. */
  readonly added: readonly X509Certificate[];
}

/**
 * Adds certificates to `[signature] signature-certificate-list` of an existing config.ini, unless it or the site's
 * own certificate has them. All other bytes of the file stay.
 * @param pems PEM texts, one certificate each
 * @throws CacheError `config`, `storage`, `no-space`
 */
export async function trustCertificates(file: string, pems: readonly string[]): Promise<Trusting> {
  const text = await readConfigText(file);
  const trusted = await fingerprintsOf(text, file);
  const known: X509Certificate[] = [];
  const added: X509Certificate[] = [];
  for (const certificate of pems.map((pem) => new X509Certificate(pem))) {
    const isAdded = added.some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256);
    if (trusted.has(certificate.fingerprint256)) known.push(certificate);
    else if (!isAdded) added.push(certificate);
  }
  if (added.length === 0) return { known, added };
  const texts = added.map((certificate) => certificate.toString());
  const extended = extendCertificateList(text, texts, file);
  const now = await fingerprintsOf(extended, file);
  if (![...trusted, ...added.map(({ fingerprint256 }) => fingerprint256)].every((one) => now.has(one)))
    throw new CacheError(
      'config',
      `${file}: can't be extended; put the certificates into its [signature] by hand`,
    );
  await replaceFile(file, extended);
  return { known, added };
}

/** Fingerprints of the trusted certificates of a configuration, without its upstream's. */
async function fingerprintsOf(text: string, file: string): Promise<ReadonlySet<string>> {
  const { signature } = parseConfig(text, { file, folder: await configFolderOf(file), cwd: process.cwd() });
  const own = await readIfThere(signature.certificateFile);
  const pems = [...(own === undefined ? [] : [own]), ...signature.trustedCertificates];
  return new Set(pems.map((pem) => new X509Certificate(pem).fingerprint256));
}
