import { describe, expect, it } from 'vitest';
import { extendCertificateList } from '../../src/config/extend-list.ts';
import { parseConfig } from '../../src/config/config.ts';

const pemOf = (name: string): string =>
  `-----BEGIN CERTIFICATE-----\n${name}AAA\n-----END CERTIFICATE-----\n`;
const indented = (name: string, by: string, end = '\n'): string =>
  pemOf(name)
    .trim()
    .split('\n')
    .map((line) => by + line)
    .join(end);

const listOf = (text: string): readonly string[] =>
  parseConfig(text, { file: 'config.ini', cwd: '/' }).signature.trustedCertificates;

/** Texts in which the list of B and C is put where `|` stands, as `added` says. */
const CASES: readonly (readonly [what: string, text: string, added: string])[] = [
  [
    'no section',
    '[store]\npath = store\n|',
    `\n[signature]\nsignature-certificate-list =\n${both('    ')}\n`,
  ],
  [
    'no final newline',
    '[store]\npath = store|',
    `\n\n[signature]\nsignature-certificate-list =\n${both('    ')}\n`,
  ],
  ['nothing at all', '|', `[signature]\nsignature-certificate-list =\n${both('    ')}\n`],
  ['an empty section, last', '[signature]|', `\nsignature-certificate-list =\n${both('    ')}`],
  [
    'a section without list',
    '# mine\n[signature]\n  certificate-file = a.crt  \n|# end of it\n\n[store]\npath = store',
    `signature-certificate-list =\n${both('    ')}\n`,
  ],
  [
    'a list',
    `[signature]\nSignature-Certificate-List:\n\t${indented('A', '\t').trim()}   \n|\n; a word\n  \ncertificate-file = a.crt\n`,
    `${both('\t')}\n`,
  ],
  [
    'a list, at the end',
    `[signature]\nsignature-certificate-list =\n${indented('A', '  ')}|`,
    `\n${both('  ')}`,
  ],
  [
    'an empty list, indented',
    '[signature]\n  signature-certificate-list =\n|  certificate-file = a.crt\n',
    `${both('      ')}\n`,
  ],
  [
    'a list of CRLF, with a comment in it',
    `\uFEFF[signature]\r\nsignature-certificate-list =\r\n # A\r\n${indented('A', ' ', '\r\n')}\r\n| # B\r\n[store]\r\npath = store\r\n`,
    `${both(' ', '\r\n')}\r\n`,
  ],
];

function both(by: string, end = '\n'): string {
  return [indented('B', by, end), indented('C', by, end)].join(end);
}

describe('a certificate list is extended, and all else stays byte for byte', () => {
  it.each(CASES)('in a text with %s', (_what, text, added) => {
    const [before = '', after = ''] = text.split('|');
    const extended = extendCertificateList(before + after, [pemOf('B'), pemOf('C')], 'config.ini');
    expect(extended).toBe(before + added + after);
    expect(listOf(extended)).toEqual([...listOf(before + after), pemOf('B'), pemOf('C')]);
  });
});
