import { describe, expect, it } from 'vitest';
import { parseSize } from '../../src/config/size.ts';

describe('parseSize', () => {
  it.each([
    ['0', 0],
    ['1048576', 1048576],
    ['12 B', 12],
    ['1k', 1024],
    ['500M', 500 * 1024 ** 2],
    ['4 GiB', 4 * 1024 ** 3],
    ['1.5T', 1.5 * 1024 ** 4],
    ['2MB', 2_000_000],
    ['7pib', 7 * 1024 ** 5],
    ['1.9', 1],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
});
