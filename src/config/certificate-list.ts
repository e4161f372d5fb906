import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

const BEGIN = '-----BEGIN CERTIFICATE-----';
/** The last line of a certificate in PEM. */
export const CERTIFICATE_END = '-----END CERTIFICATE-----';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/**
 * The certificates of a `signature-certificate-list`, each a PEM text that ends with a line feed. Checks only the PEM
 * markers; the caller parses the certificates.
 * @throws CacheError `usage` for anything but whole blocks
 */
export function parseCertificateList(text: string): readonly string[] {
  const certificates: string[] = [];
  let block: string[] | undefined;
  for (const line of text.split('\n').map((part) => part.trim())) {
    if (line === '') continue;
    if (block === undefined) {
      if (line !== BEGIN)
        throw new CacheError('usage', `${faultOfOutside(line)}; paste "${BEGIN}" to "${CERTIFICATE_END}"`);
      block = [];
    } else if (line === CERTIFICATE_END) {
      if (block.length === 0) throw fault(certificates, 'is empty');
      certificates.push([BEGIN, ...block, CERTIFICATE_END, ''].join('\n'));
      block = undefined;
    } else if (BASE64.test(line)) {
      block.push(line);
    } else {
      throw fault(certificates, line === BEGIN ? 'has no end' : `holds ${quoteBriefly(line)}`);
    }
  }
  if (block !== undefined) throw fault(certificates, 'has no end');
  return certificates;
}

function fault(before: readonly string[], what: string): CacheError {
  return new CacheError(
    'usage',
    `certificate ${before.length + 1} ${what}; paste it again, "${BEGIN}" to "${CERTIFICATE_END}"`,
  );
}

function faultOfOutside(line: string): string {
  // Its text must not reach a log.
  if (line.includes('PRIVATE KEY')) return 'contains a private key, which must never be here';
  return `contains a line that is no certificate: ${quoteBriefly(line)}`;
}
