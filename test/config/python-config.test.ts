import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { escapePercent, parsePythonConfig } from '../../src/config/python-config.ts';

const NAMES = ['a', 'b', 'slapos'];

type Sections = Readonly<Record<string, Readonly<Record<string, string>> | null>>;

/** The sections as `ConfigParser()` has them: null where it refuses the section or the file. */
function readWithPython(texts: readonly string[]): readonly Sections[] {
  const program = `
import configparser, json, sys
def read(text):
    parser = configparser.ConfigParser()
    try:
        parser.read_string(text)
    except configparser.Error:
        return {name: None for name in ${JSON.stringify(NAMES)}}
    sections = {}
    for name in ${JSON.stringify(NAMES)}:
        try:
            sections[name] = dict(parser.items(name)) if parser.has_section(name) else {}
        except configparser.Error:
            sections[name] = None
    return sections
json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
`;
  const output = execFileSync('python3', ['-c', program], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, PYTHONIOENCODING: 'utf-8' },
  });
  return JSON.parse(output) as readonly Sections[];
}

function readHere(text: string): Sections {
  const orNull = <T>(read: () => T): T | null => {
    try {
      return read();
    } catch (error) {
      if (error instanceof CacheError && error.code === 'config') return null;
      throw error;
    }
  };
  const config = orNull(() => parsePythonConfig(text, 'f.cfg'));
  return Object.fromEntries(
    NAMES.map((name) => [
      name,
      config === null ? null : orNull(() => Object.fromEntries(config.section(name) ?? [])),
    ]),
  );
}

const TEXTS = [
  '[a]\nx = 1\n[b]\nX: %(y)s\ny = 100%%\n',
  '[DEFAULT]\nhome = /opt\n[a]\nx = %(HOME)s/bin\n[b]\nhome = /srv\nx = %(home)s\n',
  '[DEFAULT]\nx = 1\n[DEFAULT]\ny = 2\n[a]\n',
  '[DEFAULT]\nx = 1\n[DEFAULT]\nx = 2\n[a]\n',
  '[a]\nx = 1\n[a]\ny = 2\n',
  '[a]\nx = 1\nX = 2\n',
  '[a]\nx = 100%\n[b]\ny = %20\n[slapos]\nz = %%20\n',
  '[a]\nx = %(none)s\n',
  '[a]\nx = %(y)s\ny = %(x)s\n',
  '[a]\nx = %(y)\n',
  '[a]\nx = %()s\n',
  '[a]\nx =\n  %(y)s\n  2\ny =\n  1\n  %(z)s\nz = %%(x)s\n',
  '[a]  # text\nx = 1\n[b] y = 2\n[slapos]]\n',
  '[]= 1\n',
  '[a]\n[] = 1\n',
  `[a]\n${Array.from({ length: 10 }, (_, at) => `x${at} = %(x${at + 1})s\n`).join('')}x10 = 1\n`,
  '[a]\nx = 1 # not a comment\n# a comment\n  y\n',
];

describe('parsePythonConfig', () => {
  it('says where Python stops, and what to do', () => {
    expect(() => parsePythonConfig('[a]\n[b]\n[a]\n', 'f.cfg')).toThrow(
      'f.cfg:3: section [a] is repeated, first in line 1',
    );
    expect(() => parsePythonConfig('[a]\nx = 1\nUrl = a%20b\n', 'f.cfg').section('a')).toThrow(
      'f.cfg:3: Url: has a single "%"; write "%%" for it',
    );
  });

  it('ends although references multiply', () => {
    const lines = Array.from({ length: 9 }, (_, depth) => `x${depth} = ${`%(x${depth + 1})s`.repeat(1000)}`);
    const config = parsePythonConfig(`[a]\n${lines.join('\n')}\nx9 = 1\n`, 'f.cfg');
    expect(() => config.section('a')).toThrow(/make more than 16777216 characters/);
  });
});

describe.skipIf(spawnSync('python3', ['--version']).status !== 0)('parsePythonConfig beside Python', () => {
  it('reads what ConfigParser() reads, and refuses what it refuses', () => {
    const readings = readWithPython(TEXTS);
    for (const [index, text] of TEXTS.entries()) expect(readHere(text), text).toEqual(readings[index]);
  });

  it('agrees on generated texts', () => {
    const piece = fc.constantFrom(
      ...['[a]', '[b]', '[slapos]', '[DEFAULT]', '[', ']', 'x', 'y', 'Z', '=', ':', ' ', '  ', '\n', '\n'],
      ...['%', '%%', '%(x)s', '%(Y)s', '%(', ')s', '#', ';', '1', '\nx = ', '\ny = %(x)s\n', '\n  '],
    );
    const texts = fc.sample(
      fc.array(piece, { maxLength: 30 }).map((pieces) => `[a]\n${pieces.join('')}`),
      3000,
    );
    const readings = readWithPython(texts);
    for (const [index, text] of texts.entries())
      expect(readHere(text), JSON.stringify(text)).toEqual(readings[index]);
  });

  it('reads an escaped text as it was', () => {
    for (const text of ['a%20b', '100%', '%(x)s', '%%']) {
      const [python] = readWithPython([`[a]\nx = ${escapePercent(text)}\n`]);
      expect(python).toMatchObject({ a: { x: text } });
    }
  });
});
