import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

const PREFIXES = ['', 'k', 'm', 'g', 't', 'p'];
const SIZE = /^(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?b)?$/;

/**
 * Bytes of a size: `500M`, `4 GiB`, `1.5T`, `1048576`. As in coreutils, `M` and `MiB` are 1024 × 1024 bytes and `MB` is a
 * million. Rounds down.
 * @throws CacheError `usage`
 */
export function parseSize(text: string): number {
  const [, amount, prefix = '', suffix = ''] = SIZE.exec(text.trim().toLowerCase()) ?? [];
  if (amount === undefined || (prefix === '' && suffix === 'ib')) {
    throw new CacheError(
      'usage',
      `not a size: ${quoteBriefly(text)}; write bytes or a number with a unit, such as 500M or 4 GiB`,
    );
  }
  const unit = prefix !== '' && suffix === 'b' ? 1000 : 1024;
  const bytes = Math.floor(Number(amount) * unit ** PREFIXES.indexOf(prefix));
  if (!Number.isSafeInteger(bytes)) {
    throw new CacheError(
      'usage',
      `too large a size: ${quoteBriefly(text)}; write at most 8 PiB less one byte`,
    );
  }
  return bytes;
}
