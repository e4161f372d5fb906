import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parsePartName, partName } from '../../src/cache/layout.ts';

describe('the name of a part', () => {
  const digest = digestOf('blob');

  it.each([1, 42, 9999, 10_000])('of number %i is read as it was made', (index) => {
    expect(parsePartName(partName(digest, index))).toEqual({ digest, index });
  });

  it('sorts as the parts do', () => {
    const names = [1, 2, 10, 100, 9999].map((index) => partName(digest, index));
    expect([...names].sort()).toEqual(names);
  });

  it.each(['0000', '1', '00001', '-001', '1e10', '0001 ', '0001.', ''])('is not one with .%s', (end) => {
    expect(parsePartName(`parts/${digest}.${end}`)).toBeUndefined();
  });

  it.each([
    ['a whole blob', `parts/${digest}`],
    ['of no digest', 'parts/x.0001'],
    ['in capitals', `parts/${digest.toUpperCase()}.0001`],
    ['empty', 'parts/'],
  ])('is not one that is %s', (_what, name) => {
    expect(parsePartName(name)).toBeUndefined();
  });
});
