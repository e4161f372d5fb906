import { X509Certificate } from 'node:crypto';
import { parseCertificate } from '../cache/certificate.ts';
import { CacheError } from '../cache/errors.ts';
import { configFolderOf, readConfigText } from '../config/config-file.ts';
import { type Config, parseConfig } from '../config/config.ts';
import { extendCertificateList } from '../config/extend-list.ts';
import { reduceCertificateList } from '../config/reduce-list.ts';
import { keepDurable, readIfThere, replaceFile } from './files.ts';

/** A certificate whose signatures count at a site. */
export interface TrustedCertificate {
  readonly certificate: X509Certificate;
  /** `own`: of the site's key; `signature`, `upstream`: in the list of that section. */
  readonly from: 'own' | 'signature' | 'upstream';
}

/** Result of `trustCertificates`. */
export interface Trusting {
  /** Certificates that were trusted before. */
  readonly known: readonly X509Certificate[];
  /** Certificates added to the `signature-certificate-list`. */
  readonly added: readonly X509Certificate[];
}

/** Result of `distrustCertificates`. */
export interface Distrusting {
  /** Certificates removed from the `signature-certificate-list`. */
  readonly removed: readonly X509Certificate[];
  /** All that are still trusted. */
  readonly left: readonly TrustedCertificate[];
}

export interface TrustOptions {
  /** Write nothing. */
  readonly dryRun?: boolean;
}

/** A trusted certificate that is not parsed yet. */
export interface TrustedPem {
  readonly pem: string;
  /** Its file or its place in the configuration, for messages. */
  readonly where: string;
  readonly from: TrustedCertificate['from'];
}

/**
 * The certificates that a configuration trusts: its own, then those of its lists, in their order.
 * @throws CacheError `config`: the file of its own can't be read
 */
export async function readTrustedPems({ file, signature, upstream }: Config): Promise<readonly TrustedPem[]> {
  const { certificateFile, trustedCertificates } = signature;
  const own = await readIfThere(certificateFile);
  const listed = (from: 'signature' | 'upstream', pems: readonly string[]): TrustedPem[] =>
    pems.map((pem, index) => ({
      pem,
      where: `${file ?? 'configuration'}: [${from}] signature-certificate-list, certificate ${index + 1}`,
      from,
    }));
  return [
    ...(own === undefined ? [] : [{ pem: own, where: certificateFile, from: 'own' as const }]),
    ...listed('signature', trustedCertificates),
    ...listed('upstream', upstream?.trustedCertificates ?? []),
  ];
}

/** The same, parsed. @throws CacheError `config`: one can't be read */
export async function listTrusted(config: Config): Promise<readonly TrustedCertificate[]> {
  const pems = await readTrustedPems(config);
  return pems.map(({ pem, where, from }) => ({ certificate: parseCertificate(pem, where), from }));
}

/**
 * Adds certificates to `[signature] signature-certificate-list` of an existing config.ini, unless it or the site's
 * own certificate has them. All other bytes of the file stay.
 * @param pems PEM texts, one certificate each
 * @throws CacheError `config`, `storage`, `no-space`
 */
export async function trustCertificates(
  file: string,
  pems: readonly string[],
  { dryRun = false }: TrustOptions = {},
): Promise<Trusting> {
  const text = await readConfigText(file);
  const trusted = fingerprintsOf(await readTrusted(text, file));
  const known: X509Certificate[] = [];
  const added: X509Certificate[] = [];
  for (const certificate of pems.map((pem) => new X509Certificate(pem))) {
    const isAdded = added.some(({ fingerprint256 }) => fingerprint256 === certificate.fingerprint256);
    if (trusted.has(certificate.fingerprint256)) known.push(certificate);
    else if (!isAdded) added.push(certificate);
  }
  if (added.length === 0) {
    if (!dryRun) await keepDurable(file);
    return { known, added };
  }
  const texts = added.map((certificate) => certificate.toString());
  const extended = extendCertificateList(text, texts, file);
  const now = fingerprintsOf(await readTrusted(extended, file));
  if (![...trusted, ...added.map(({ fingerprint256 }) => fingerprint256)].every((one) => now.has(one)))
    throw new CacheError(
      'config',
      `${file}: can't be extended; put the certificates into its [signature] by hand`,
    );
  if (!dryRun) await replaceFile(file, extended);
  return { known, added };
}

/**
 * Removes certificates from `[signature] signature-certificate-list` of a config.ini. All other bytes of the file stay.
 * @param fingerprints SHA-256, as `X509Certificate` has them
 * @throws CacheError `config`, `storage`, `no-space`
 */
export async function distrustCertificates(
  file: string,
  fingerprints: ReadonlySet<string>,
  { dryRun = false }: TrustOptions = {},
): Promise<Distrusting> {
  const text = await readConfigText(file);
  const before = await readTrusted(text, file);
  const isRemoved = ({ fingerprint256 }: X509Certificate): boolean => fingerprints.has(fingerprint256);
  const reduced = reduceCertificateList(text, (pem) => isRemoved(new X509Certificate(pem)), file);
  const left = await readTrusted(reduced, file);
  const expected = before.filter(({ certificate, from }) => from !== 'signature' || !isRemoved(certificate));
  if (left.length !== expected.length)
    throw new CacheError(
      'config',
      `${file}: can't be edited; remove the certificates from its [signature] by hand`,
    );
  if (!dryRun) await (reduced === text ? keepDurable(file) : replaceFile(file, reduced));
  const removed = before.filter(({ certificate, from }) => from === 'signature' && isRemoved(certificate));
  return { removed: removed.map(({ certificate }) => certificate), left };
}

async function readTrusted(text: string, file: string): Promise<readonly TrustedCertificate[]> {
  return listTrusted(parseConfig(text, { file, folder: await configFolderOf(file), cwd: process.cwd() }));
}

/** Fingerprints of a site's own circle, without its upstream's. */
function fingerprintsOf(trusted: readonly TrustedCertificate[]): ReadonlySet<string> {
  return new Set(
    trusted
      .filter(({ from }) => from !== 'upstream')
      .map(({ certificate: { fingerprint256 } }) => fingerprint256),
  );
}
