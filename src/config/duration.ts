import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3600_000,
  d: 24 * 3600_000,
  w: 7 * 24 * 3600_000,
};
/** A century, so that every sum with a date is a valid date. */
const LIMIT = 36_525 * 24 * 3600_000;

/**
 * Milliseconds of a duration: `7d`, `24 h`, `90m`, `1.5d`, `2w`, `30s`. Only 0 needs no unit.
 * @throws CacheError `usage`
 */
export function parseDuration(text: string): number {
  const [, amount, name = ''] = /^(\d+(?:\.\d+)?)\s*(s|m|min|h|d|w)?$/.exec(text.trim().toLowerCase()) ?? [];
  const factor = UNITS[name] ?? (Number(amount) === 0 ? 1 : undefined);
  const duration = Math.round(Number(amount) * (factor ?? NaN));
  if (duration <= LIMIT) return duration;
  throw new CacheError(
    'usage',
    `not a duration: ${quoteBriefly(text)}; write a number with s, m, h, d or w, such as 24h or 7d, of at most 100 years`,
  );
}
