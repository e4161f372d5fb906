import { execFileSync, spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHeavy } from '../fixtures/heavy.ts';
import { z } from 'zod';
import { CacheError } from '../../src/cache/errors.ts';
import { type IniDocument, parseIni } from '../../src/config/ini.ts';

const PEM = ['-----BEGIN CERTIFICATE-----', 'MIIB9jCCAV+gAwIBAgIJ', 'c3Q=', '-----END CERTIFICATE-----'];

/** Texts that Python reads, each beside its name. */
const READABLE: Readonly<Record<string, string>> = {
  empty: '',
  'only comments': '# a\n; b\n\n',
  'empty section': '[server]\n',
  'both delimiters': '[a]\nx = 1\ny: 2\nz=3\nw:4\nv =5\nu :6',
  'first delimiter counts': '[software]\nrapid-cdn-1.0.344 = https://h/a?b=c:d\nother: https://h/x=y\n',
  'keys in capitals': '[a]\nListen = [::]:5050\nUPLOAD-Users = Bob\n',
  'names with spaces': '[a b]\nmy key = my value\n',
  'empty values': '[a]\nx =\ny:\nz =   \n',
  'percent signs': '[a]\nx = 100%\ny = %(z)s %%\n',
  'PEM below its key': `[a]\ncerts =\n${PEM.map((line) => `  ${line}`).join('\n')}\nnext = 1\n`,
  'PEM beginning beside its key': `[a]\ncerts = ${PEM.join('\n    ')}\n\n[b]\n`,
  'two PEM blocks and comments between': `[a]\ncerts =\n  # first\n${PEM.map((line) => `\t${line}`).join('\n')}\n\n  ; second\n${PEM.map((line) => `      ${line}`).join('\n')}\n`,
  'empty lines inside a value': '[a]\nx = 1\n\n\n  2\n\n  3\n\n\ny = 4\n',
  'comment inside a value': '[a]\nx = 1\n# none\n  2\n  ; none either\n  3\n',
  'no inline comments': '[a]\nx = 1 # one\ny = 2 ; two\n',
  'odd indents': '[a]\n  x = 1\n    y = 2\n   z = 3\n  w = 4\n v = 5\n\tu = 6\n',
  'indented section': '  [a]\n  x = 1\n    2\n[b]\n    y = 1\n  z = 2\n',
  'section inside a value': '[a]\nx =\n  [b]\n  [::]:5050\n',
  'comment beside a section': '[a] # one\nx = 1\n[b] ; two\n[c]   \n',
  'white space around': '[a]   \n  x   =   1   \n   \n     2   \n',
  'delimiters in values': '[a]\nx = = 1\ny : : 2\nz =: 3\n',
  'carriage returns': '[a]\r\nx = 1\r\n  2\r\n\r\n  3\r\ny = 2\r\n',
  'old Mac line ends': '[a]\rx = 1\r  2\r',
  'byte order mark': '\uFEFF[a]\nx = 1\n',
  'other alphabets': '[ä]\nÜber = größer\n名前 = 値\n',
  'unusual white space': '[a]\nx = \u00a01\u2003\n\u3000y = 2\nz = a\u2028b\n',
  'no line end at the end': '[a]\nx = 1\n  2',
  'names that objects have': '[__proto__]\n__proto__ = 1\nconstructor = 2\n[toString]\n',
  'key that begins below the indent of a value': '[a]\n    x = 1\n  y = 2\n      3\n',
};

/** Texts that Python refuses, and the line that is to blame. */
const REFUSED: Readonly<Record<string, readonly [text: string, message: string]>> = {
  'key before any section': [
    'x = 1\n',
    'f.ini:1: "x = 1" is before the first section; write a [section] line above it',
  ],
  'duplicate section': [
    '[a]\n[b]\n[a]\n',
    'f.ini:3: section [a] is repeated, first in line 1; put all its keys there',
  ],
  'duplicate key': [
    '[a]\nx = 1\ny = 2\nX = 3\n',
    'f.ini:4: key "X" is repeated in [a], first in line 2; keep one of them',
  ],
  'line without delimiter': [
    `[a]\ncerts =\n${PEM.join('\n')}`,
    'f.ini:3: not a "key = value" line: "-----BEGIN CERTIFICATE-----"; indent the line if it continues the value above',
  ],
  'value without a key': ['[a]\n\n= 1\n', 'f.ini:3: no key before "="; write key = value'],
  'section that does not end': [
    '[a]\n[b\n',
    'f.ini:2: not a section: "[b"; write [NAME] alone, or indent the line if it continues a value',
  ],
};

/** Texts that Python reads in a way nobody means. */
const STRICTER: Readonly<Record<string, readonly [text: string, message: string]>> = {
  'text behind a section': [
    '[server] listen = :5050\n',
    'f.ini:1: not a section: "[server] listen = :5050"; write [NAME] alone, or indent the line if it continues a value',
  ],
  'an address that is not indented': [
    '[server]\nlisten =\n[::]:5050\n',
    'f.ini:3: not a section: "[::]:5050"; write [NAME] alone, or indent the line if it continues a value',
  ],
  'a key in brackets': [
    '[a]\n[] = 1\n',
    'f.ini:2: not a section: "[] = 1"; write [NAME] alone, or indent the line if it continues a value',
  ],
  'the default section': [
    '[DEFAULT]\nx = 1\n',
    'f.ini:1: [DEFAULT] would set its keys in every section; write each key in its own section',
  ],
  'a control character': ['[a]\nx = 1\u0000\n', 'f.ini:2: contains a control character; retype the line'],
  'a mark in the middle': ['[a]\n\uFEFFx = 1\n', 'f.ini:2: contains a control character; retype the line'],
};

const hasPython = spawnSync('python3', ['--version']).status === 0;

type Reading = Readonly<Record<string, Readonly<Record<string, string>>>>;

const PYTHON_OUTPUT = z.array(
  z.array(z.tuple([z.string(), z.array(z.tuple([z.string(), z.string()]))])).nullable(),
);

/** What Python makes of each text, undefined where it refuses. */
function readWithPython(texts: readonly string[]): readonly (Reading | undefined)[] {
  const program = `
import configparser, io, json, sys
def read(text):
    parser = configparser.RawConfigParser()
    try:
        parser.read_file(io.TextIOWrapper(io.BytesIO(text.encode('utf-8')), encoding='utf-8-sig'))
    except configparser.Error:
        return None
    return [[section, parser.items(section)] for section in parser.sections()]
json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
`;
  const output = execFileSync('python3', ['-c', program], {
    input: JSON.stringify(texts),
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, PYTHONIOENCODING: 'utf-8', PYTHONUTF8: '1' },
  });
  return PYTHON_OUTPUT.parse(JSON.parse(output)).map((sections) =>
    sections === null
      ? undefined
      : Object.fromEntries(sections.map(([name, items]) => [name, Object.fromEntries(items)])),
  );
}

function readHere(text: string): Reading | CacheError {
  try {
    return toPlain(parseIni(text, 'f.ini'));
  } catch (error) {
    if (error instanceof CacheError) return error;
    throw error;
  }
}

function toPlain(document: IniDocument): Reading {
  return Object.fromEntries(
    Array.from(document, ([name, { keys }]) => [
      name,
      Object.fromEntries(Array.from(keys, ([key, { value }]) => [key, value])),
    ]),
  );
}

function faultOf(text: string): CacheError {
  const result = readHere(text);
  if (result instanceof CacheError) return result;
  throw new Error(`read as ${JSON.stringify(result)}`);
}

describe('parseIni', () => {
  it('reads values below their key, with the lines of each key', () => {
    const document = parseIni('# c\n[a]\nX =\n  1\n\n  2\n\n[b]\ny: z\n', 'f.ini');
    expect(document.get('a')?.line).toBe(2);
    expect(document.get('a')?.keys.get('x')).toEqual({ name: 'X', value: '\n1\n\n2', line: 3, lastLine: 6 });
    expect(document.get('b')?.keys.get('y')).toEqual({ name: 'y', value: 'z', line: 9, lastLine: 9 });
  });

  it('keeps a PEM block whole', () => {
    const value = parseIni(READABLE['PEM below its key'] ?? '', 'f.ini')
      .get('a')
      ?.keys.get('certs')?.value;
    expect(value?.trim()).toBe(PEM.join('\n'));
  });

  it('counts lines alike whatever ends them', () => {
    for (const end of ['\n', '\r\n', '\r']) {
      expect(faultOf(['[a]', 'x = 1', '', 'oops'].join(end)).message).toMatch(/^f\.ini:4: /);
    }
  });

  it.each(Object.entries({ ...REFUSED, ...STRICTER }))('refuses %s', (_, [text, message]) => {
    const fault = faultOf(text);
    expect(fault.code).toBe('config');
    expect(fault.message).toBe(message);
  });
});

describe.skipIf(!hasPython)('parseIni beside configparser.RawConfigParser', () => {
  it('reads what Python reads', () => {
    const texts = Object.values(READABLE);
    const readings = readWithPython(texts);
    for (const [index, name] of Object.keys(READABLE).entries()) {
      expect(readings[index], name).toBeDefined();
      expect(readHere(texts[index] ?? ''), name).toEqual(readings[index]);
    }
  });

  it('refuses what Python refuses', () => {
    const texts = Object.values(REFUSED).map(([text]) => text);
    expect(readWithPython(texts)).toEqual(texts.map(() => undefined));
  });

  it('agrees on generated texts, or is stricter in the ways listed', () => {
    const stricter = /not a section|\[DEFAULT\]|control character/;
    const piece = fc.constantFrom(
      ...[
        '[a]',
        '[b]',
        '[c c]',
        '[a',
        ']',
        '[',
        '=',
        ':',
        ' = ',
        ': ',
        'x',
        'Y',
        'key',
        'Ä',
        '1',
        'v w',
        '#',
        ';',
        ' ',
      ],
      ...['  ', '\t', '\u00a0', '\u2003', '\u2028', '%', '"', ...PEM],
    );
    const indent = fc.constantFrom('', '', '', ' ', '  ', '    ', '\t', ' \t');
    const assigned = fc
      .tuple(
        fc.constantFrom('x', 'y', 'Z', 'k k', 'w1', 'q.q'),
        fc.constantFrom('=', ' = ', ':', ' : '),
        piece,
      )
      .map((parts) => parts.join(''));
    const content = fc.oneof(
      { weight: 4, arbitrary: assigned },
      { weight: 2, arbitrary: fc.constantFrom('[a]', '[b]', '[c]', '# c', '; c', '', '', ...PEM) },
      { weight: 1, arbitrary: fc.array(piece, { maxLength: 5 }).map((pieces) => pieces.join('')) },
      {
        weight: 1,
        arbitrary: fc.string({ unit: 'binary', maxLength: 8 }).filter((text) => text.isWellFormed()),
      },
    );
    const line = fc
      .tuple(indent, content, fc.constantFrom('\n', '\n', '\n', '\r\n', '\n\n'))
      .map((parts) => parts.join(''));
    const text = fc.array(line, { maxLength: 12 }).map((lines) => `[s]\n${lines.join('')}`);
    let read = 0;
    fc.assert(
      fc.property(fc.array(text, { minLength: 400, maxLength: 400 }), (texts) => {
        const readings = readWithPython(texts);
        for (const [index, each] of texts.entries()) {
          const here = readHere(each);
          const there = readings[index];
          if (here instanceof CacheError) {
            if (there !== undefined) expect(here.message, JSON.stringify(each)).toMatch(stricter);
          } else {
            expect(here, JSON.stringify(each)).toEqual(there);
            read += 1;
          }
        }
      }),
      { numRuns: isHeavy ? 50 : 4, endOnFailure: true },
    );
    // Most texts would otherwise be refused on both sides and show nothing.
    expect(read).toBeGreaterThan(500);
  });
});
