import { expect, it } from 'vitest';
import { formatTable } from '../../src/cli/terminal/table.ts';

it('a table has its columns side by side, and nothing behind the last word of a line', () => {
  const rows = [
    ['copied', '', 'https://example.com/a'],
    ['REFUSED', 'ubuntu 22.04', ''],
  ];
  expect(formatTable(['RESULT', 'PLATFORM', 'URL'], rows)).toBe(
    [
      'RESULT   PLATFORM      URL',
      'copied                 https://example.com/a',
      'REFUSED  ubuntu 22.04',
    ].join('\n'),
  );
});

it('a table of nothing is its headings', () => {
  expect(formatTable(['RESULT', 'URL'], [])).toBe('RESULT  URL');
});

it('a table counts what is seen: wide letters twice, marks and joined parts not', () => {
  const rows = [
    ['漢字', 'x'],
    ['e\u0301te\u0301', 'x'],
    ['👩‍👩‍👧', 'x'],
    ['abcd', 'x'],
  ];
  expect(formatTable(['', ''], rows).split('\n').slice(1)).toEqual([
    '漢字  x',
    'e\u0301te\u0301   x',
    '👩‍👩‍👧    x',
    'abcd  x',
  ]);
});

it('a table has a row a line, whatever a stranger put into a cell', () => {
  expect(formatTable(['A', 'B'], [['one\ntwo', 'x']])).toBe('A             B\none\\u000atwo  x');
});

it('a table of half a million rows is made at once', () => {
  const rows = Array.from({ length: 500_000 }, (_, index) => [
    'copied',
    'ubuntu 22.04 jammy x86_64-linux-gnu',
    `https://example.com/${index}/software.cfg`,
  ]);
  expect(formatTable(['RESULT', 'PLATFORM', 'URL'], rows).split('\n')).toHaveLength(500_001);
});
