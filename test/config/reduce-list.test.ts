import { describe, expect, it } from 'vitest';
import { reduceCertificateList } from '../../src/config/reduce-list.ts';

const pem = (name: string, by = '', end = '\n'): string =>
  ['-----BEGIN CERTIFICATE-----', `${name}AAA`, '-----END CERTIFICATE-----']
    .map((line) => by + line)
    .join(end);

/** `‹…›` stands around what is removed with B. */
const CASES: readonly (readonly [what: string, text: string])[] = [
  ['no list', '[store]\npath = store\n[signature]\ncertificate-file = a.crt'],
  ['another list', `[signature]\nsignature-certificate-list =\n${pem('A', ' ')}\n`],
  [
    'one certificate',
    `# mine \n[signature]\nSignature-Certificate-List : \n‹${pem('B', '\t')}\n›\n; a word\n[store]\n`,
  ],
  [
    'the first of two, on the line of the key',
    `[signature]\n  signature-certificate-list =‹ ${pem('B', '    ').trim()}›\n${pem('A', '    ')}`,
  ],
  [
    'the last, of a file without final newline',
    `[signature]\nsignature-certificate-list =\n${pem('A', '  ')}\n‹${pem('B', '  ')}›`,
  ],
  [
    'one of three that is there twice, with CRLF, trailing spaces and comments',
    `\uFEFF[signature]\r\nsignature-certificate-list =\r\n # B\r\n‹${pem('B', ' ', '  \r\n')}  \r\n›  \r\n${pem('A', ' ', '\r\n')}\r\n‹${pem('B', '   ', '\r\n')}\r\n›# end\r\n[store]\r\npath = store  \r\n`,
  ],
];

describe('a certificate leaves its list, and all else stays byte for byte', () => {
  it.each(CASES)('in a text with %s', (_what, marked) => {
    const text = marked.replace(/[‹›]/g, '');
    const rest = marked.replace(/‹[^]*?›/g, '');
    expect(reduceCertificateList(text, (one) => one === `${pem('B')}\n`, 'config.ini')).toBe(rest);
  });
});
