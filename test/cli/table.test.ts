import { describe, expect, it } from 'vitest';
import { formatRow, formatTable, widthOf } from '../../src/cli/terminal/table.ts';

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

describe('a table on a terminal', () => {
  const PLATFORM = 'x86_64-linux-gnu ubuntu 22.04 jammy';
  const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
  const HEADINGS = ['RESULT', 'PLATFORM', 'SIZE', 'URL'];
  const rows = [
    ['imported', PLATFORM, '118.4 MiB', URL],
    ['REFUSED', '', '', 'software/kvm.tar.gz'],
  ];

  it('that is wide enough shows all', () => {
    expect(formatTable(HEADINGS, rows, 160)).toBe(formatTable(HEADINGS, rows, Infinity));
  });

  it('has a URL that does not fit below its row, whole', () => {
    expect(formatTable(HEADINGS, rows, 110).split('\n')).toEqual([
      'RESULT    PLATFORM                             SIZE       URL',
      'imported  x86_64-linux-gnu ubuntu 22.04 jammy  118.4 MiB',
      `  ${URL}`,
      'REFUSED                                                   software/kvm.tar.gz',
    ]);
  });

  it('of 80 columns has a URL of 80 without indentation, so that it is on one line', () => {
    expect(URL).toHaveLength(80);
    expect(formatTable(HEADINGS, rows, 80).split('\n')).toEqual([
      'RESULT    PLATFORM                             SIZE       URL',
      'imported  x86_64-linux-gnu ubuntu 22.04 jammy  118.4 MiB',
      URL,
      'REFUSED                                                   software/kvm.tar.gz',
    ]);
  });

  it('of 50 columns goes on in the next line rather than to cut a platform or a date', () => {
    const found = ['ubuntu 22.04 x86_64-linux-gnu', '118.4 MiB', '2026-11-20 22:34 +01:00', URL];
    expect(formatTable(['PLATFORM', 'SIZE', 'RECEIVED', 'URL'], [found], 50).split('\n')).toEqual([
      'PLATFORM                       SIZE',
      '  RECEIVED                 URL',
      'ubuntu 22.04 x86_64-linux-gnu  118.4 MiB',
      '  2026-11-20 22:34 +01:00',
      URL,
    ]);
  });

  it('keeps a long name whole', () => {
    const named = [['erp5-1.0.344-ubuntu-22.04-x86_64-linux-gnu.tar.gz', 'imported']];
    expect(formatTable(['ARCHIVE', 'RESULT'], named, 38).split('\n')).toEqual([
      'ARCHIVE',
      '  RESULT',
      'erp5-1.0.344-ubuntu-22.04-x86_64-linux-gnu.tar.gz',
      '  imported',
    ]);
  });

  it.each([20, 40, 50, 80, 100, 132])(
    'of %i columns has no line that is longer but a cell alone',
    (columns) => {
      const wide = [
        ...rows,
        ['x', '漢字'.repeat(40), '', '👩‍👩‍👧'.repeat(60)],
        ['y', 'a'.repeat(5000), '', 'b'.repeat(5000)],
      ];
      const alone = new Set([...rows, ...wide].flat());
      for (const line of formatTable(HEADINGS, wide, columns).split('\n'))
        expect(alone.has(line) || widthOf(line) <= columns).toBe(true);
    },
  );
});

describe('a row whose table is not known', () => {
  it('has at least the widths, and moves the cells behind a wider one', () => {
    expect(formatRow(['a', 'b', 'c'], [2, 3], 80)).toBe('a   b    c');
    expect(formatRow(['aaaa', 'b', 'c'], [2, 3], 80)).toBe('aaaa  b    c');
  });

  it('goes on in the next line where the terminal ends', () => {
    expect(formatRow(['2026-11-20', 'alice', 'import', 'https://h/x'], [10, 8, 6], 20)).toBe(
      '2026-11-20  alice\n  import\n  https://h/x',
    );
  });
});
