import { X509Certificate } from 'node:crypto';
import { CacheError } from '../cache/errors.ts';
import { readConfigText } from '../config/config-file.ts';
import { parseConfig } from '../config/config.ts';
import { extendCertificateList } from '../config/extend-list.ts';
import { readIfThere, replaceFile } from './files.ts';

/** What `trustCertificates` found and did. */
export interface Trusting {
  /** Were trusted before. */
  readonly known: readonly X509Certificate[];
  /** Stand in the `signature-certificate-list` now. */
  readonly added: readonly X509Certificate[];
}

/**
 * Puts certificates into the `[signature] signature-certificate-list` of a config.ini that is there, as far as neither it nor
 * the site's own certificate has them. All else in the file stays byte for byte.
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

/** Of the certificates whose signatures count by a configuration, without those of its upstream. */
async function fingerprintsOf(text: string, file: string): Promise<ReadonlySet<string>> {
  const { signature } = parseConfig(text, { file, cwd: process.cwd() });
  const own = await readIfThere(signature.certificateFile);
  const pems = [...(own === undefined ? [] : [own]), ...signature.trustedCertificates];
  return new Set(pems.map((pem) => new X509Certificate(pem).fingerprint256));
}
