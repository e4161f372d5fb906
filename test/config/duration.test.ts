import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/config/duration.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';

const HOUR = 3600_000;

describe('a length of time', () => {
  it.each([
    ['30s', 30_000],
    ['90m', 1.5 * HOUR],
    ['90 min', 1.5 * HOUR],
    ['24h', 24 * HOUR],
    [' 7D ', 7 * 24 * HOUR],
    ['1.5d', 36 * HOUR],
    ['2w', 14 * 24 * HOUR],
    ['0', 0],
    ['0h', 0],
    ['36500d', 36_500 * 24 * HOUR],
  ])('%s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['', '7', 'd', '7 days', '-1d', '1e3d', '7y', '1d2h', '9999999d', 'off'])(
    'is not %j',
    async (text) => {
      await expectCacheError(
        () => parseDuration(text),
        'usage',
        /write a number with s, m, h, d or w, such as 24h/,
      );
    },
  );
});
