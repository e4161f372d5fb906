import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { parsePythonConfig } from '../../src/config/python-config.ts';
import { replaceSection, type SectionEdit } from '../../src/config/replace-section.ts';
import { slaposCfg } from '../fixtures/slapos-cfg.ts';

const VALUES = new Map([
  ['url', 'http://cache:5050/bcache'],
  ['list', '\none\ntwo'],
]);

function replace(text: string, values = VALUES, defaults = new Map<string, string>()): SectionEdit {
  return replaceSection(text, 'f.cfg', 'n', { values, defaults });
}

const edited = (...args: Parameters<typeof replace>): string => replace(...args).text;

describe('replaceSection', () => {
  it('adds a section that is missing, on a line of its own', () => {
    const section = '[n]\nurl = http://cache:5050/bcache\nlist =\n  one\n  two\n';
    expect(edited('')).toBe(section);
    expect(edited('[a]\nx = 1\n')).toBe(`[a]\nx = 1\n\n${section}`);
    expect(edited('[a]\nx = 1\n\n')).toBe(`[a]\nx = 1\n\n${section}`);
    expect(edited('[a]\nx = 1')).toBe(`[a]\nx = 1\n\n${section}`);
  });

  it('replaces values where they stand, and keeps comments, other keys and other sections', () => {
    const text =
      '# top\n[a]\nx = 1\n[n]\n# the URL\nURL: old\n\nlist =\n  # of one\n  old\n\n  older\n# next\nother = 3\n\n# of b\n[b]\n y=2\n';
    expect(edited(text)).toBe(
      '# top\n[a]\nx = 1\n[n]\n# the URL\nURL = http://cache:5050/bcache\n\nlist =\n  one\n  two\n  # of one\n# next\nother = 3\n\n# of b\n[b]\n y=2\n',
    );
  });

  it('adds keys behind the last one of the section', () => {
    expect(edited('[n]\nx = 1\n  2\n\n# of b\n[b]\n')).toBe(
      '[n]\nx = 1\n  2\nurl = http://cache:5050/bcache\nlist =\n  one\n  two\n\n# of b\n[b]\n',
    );
    expect(edited('[n]\n[b]\n')).toBe('[n]\nurl = http://cache:5050/bcache\nlist =\n  one\n  two\n[b]\n');
  });

  it('sets a default only if the key is missing', () => {
    const defaults = new Map([['file', '/new']]);
    expect(edited('[n]\nFile = /old\n', new Map(), defaults)).toBe('[n]\nFile = /old\n');
    expect(edited('[n]\n', new Map(), defaults)).toBe('[n]\nfile = /new\n');
  });

  it.each(['\r\n', '\r'])('keeps the line ends %j', (end) => {
    const text = ['[n]', 'url = old', '', '[b]', 'x = 1'].join(end);
    expect(edited(text)).toBe(
      ['[n]', 'url = http://cache:5050/bcache', 'list =', '  one', '  two', '', '[b]', 'x = 1'].join(end),
    );
  });

  it('keeps the indent of a section', () => {
    expect(edited('[n]\n  x = 1\n  url = 2\n  y = 3\n')).toBe(
      '[n]\n  x = 1\n  url = http://cache:5050/bcache\n  y = 3\n  list =\n    one\n    two\n',
    );
  });

  it('merges repeated sections, and names their lines', () => {
    const edit = replace(
      '[n]\nurl = 1\na = 1\n[b]\n[n]\nurl = 2\na = 1\nc =\n  # c\n  3\nlist = 4\n[n]\nd = 5\n',
    );
    expect(edit.merged).toEqual([5, 12]);
    expect(edit.text).toBe(
      '[n]\nurl = http://cache:5050/bcache\na = 1\nc =\n  # c\n  3\nlist =\n  one\n  two\nd = 5\n[b]\n',
    );
  });

  it('refuses repeated keys with different values, naming both', () => {
    expect(() => replace('[n]\na = 1\n[n]\nA = 2\n')).toThrow(
      'f.cfg:4: key "A" is repeated in [n] with another value, first in line 2; keep one of them',
    );
  });

  it('refuses what would change another section', () => {
    expect(() => replace('[n]\n  [b]\nx = 1\n')).toThrow(/f\.cfg:1: section \[n\] can't be replaced/);
  });

  it('changes nothing that it does not own, whatever the text, and nothing at all the second time', () => {
    const piece = fc.constantFrom(
      ...['[n]\n', '[a]\n', '[b]\n', ' [b]\n', '[DEFAULT]\n', 'url = 1\n', 'list =\n  1\n  # c\n  2\n', '\n'],
      ...['x = 1\n', ' y = 2\n', 'X = 3\n', '  z\n', '# c\n', '  ; c\n', 'Url: 2\n', 'list = 7', '\r\n', ' '],
    );
    let count = 0;
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 16 }).map((pieces) => pieces.join('')),
        (text) => {
          let edit: SectionEdit;
          try {
            edit = replace(text);
          } catch (error) {
            if (error instanceof CacheError && error.code === 'config') return;
            throw error;
          }
          count++;
          expect(edit.lines.map((line) => (line.change === 'added' ? '' : line.text)).join('')).toBe(text);
          const again = replace(edit.text);
          expect(again.text).toBe(edit.text);
          expect(again.lines.every(({ change }) => change === 'kept')).toBe(true);
          const comments = (of: string): readonly string[] =>
            of
              .split(/\r\n|\r|\n/)
              .filter((line) => /^\s*[#;]/.test(line))
              .map((line) => line.trim())
              .sort();
          expect(comments(edit.text)).toEqual(comments(text));
        },
      ),
      { numRuns: 3000 },
    );
    expect(count).toBeGreaterThan(300);
  });
});

describe('a whole slapos.cfg', () => {
  it('keeps all lines but those of the values', async () => {
    const text = await slaposCfg();
    const values = new Map([
      ['download-binary-cache-url', 'http://cache/bcache'],
      ['signature-certificate-list', '\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'],
    ]);
    const edit = replaceSection(text, 'slapos.cfg', 'networkcache', { values, defaults: new Map() });
    const read = parsePythonConfig(edit.text, 'slapos.cfg');
    for (const name of ['slapos', 'slapformat', 'disabled-firewall', 'collect'])
      expect(read.section(name)).toEqual(parsePythonConfig(text, 'slapos.cfg').section(name));
    const before = parsePythonConfig(text, 'slapos.cfg').section('networkcache');
    expect(read.section('networkcache')).toEqual(new Map([...(before ?? []), ...values]));
  });
});
