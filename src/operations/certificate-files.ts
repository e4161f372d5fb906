import { certificateBlocks, parseCertificate } from '../cache/certificate.ts';
import { CacheError } from '../cache/errors.ts';
import { readIfThere } from './files.ts';

/**
 * All certificates of PEM files, one text each.
 * @throws CacheError `config`: a file is missing, has no certificate, or has one that nodes can't use
 */
export async function readCertificateFiles(paths: readonly string[]): Promise<readonly string[]> {
  const certificates: string[] = [];
  for (const path of paths) {
    const text = await readIfThere(path);
    if (text === undefined)
      throw new CacheError('config', `${path}: no such file; name a certificate in PEM`);
    const blocks = certificateBlocks(text);
    if (blocks.length === 0) throw new CacheError('config', `${path}: holds no certificate in PEM`);
    for (const pem of blocks) certificates.push(parseCertificate(withoutMargins(pem), path).toString());
  }
  return certificates;
}

/** OpenSSL ignores indented lines. */
function withoutMargins(pem: string): string {
  return pem
    .split('\n')
    .map((line) => line.trim())
    .join('\n');
}
