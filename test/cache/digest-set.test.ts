import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createDigestSet } from '../../src/cache/digest-set.ts';
import { digestOf, parseDigest } from '../../src/cache/digest.ts';

describe('a set of digests', () => {
  it('knows what was added, and nothing else, however many there are', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5000), { maxLength: 4000 }), (numbers) => {
        const set = createDigestSet();
        const known = new Set<number>();
        for (const number of numbers) {
          expect(set.add(digestOf(String(number)))).toBe(!known.has(number));
          known.add(number);
        }
        expect(set.size).toBe(known.size);
        for (let number = 0; number <= 5000; number += 7)
          expect(set.has(digestOf(String(number)))).toBe(known.has(number));
      }),
      { numRuns: 20 },
    );
  });

  it('takes digests that begin alike, or with zeros', () => {
    const set = createDigestSet();
    const digest = (start: string) => parseDigest(start.padEnd(128, '0'));
    const digests = ['0', '00000001', '0000000000000002', 'ffffffff', 'ffffffffffffffff'].map(digest);
    for (const one of digests) {
      expect(set.has(one)).toBe(false);
      expect(set.add(one)).toBe(true);
      expect(set.add(one)).toBe(false);
    }
    expect(digests.every((one) => set.has(one))).toBe(true);
    // More of them than fit into the first table, all in one place of it.
    const many = Array.from({ length: 3000 }, (_, index) =>
      digest(`${(index + 16).toString(16).padStart(8, '0')}00000007`),
    );
    for (const one of many) set.add(one);
    expect(many.every((one) => set.has(one))).toBe(true);
  });
});
