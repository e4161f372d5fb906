import { describe, expect, it } from 'vitest';
import { isSoftwareUrl, readExtends } from '../../src/release/buildout-config.ts';

const URL = 'https://lab.example.com/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';

describe('readExtends', () => {
  it.each([
    ['on one line', `[buildout]\nextends = ${URL}\n`],
    ['without spaces', `[buildout]\nextends=${URL}`],
    ['with a colon', `[buildout]\nextends: ${URL}`],
    ['on the next line', `[buildout]\nextends =\n  ${URL}\n`],
    [
      'after a comment and an empty line',
      `# made by slapgrid\n\n[buildout]\nparts = a\nextends =\n\n# why\n  ${URL}\n`,
    ],
    ['with an inline comment', `[buildout]\nextends = ${URL} ; the release\n`],
    ['with Windows line ends and a byte order mark', `\uFEFF[buildout]\r\nextends =\r\n\t${URL}\r\n`],
    ['in capitals', `[buildout]\nExtends = ${URL}\n`],
    [
      'after another section',
      `[versions]\nextends = no.cfg\n[buildout]\nextends = ${URL}\n[x]\nextends = no.cfg\n`,
    ],
    ['added to', `[buildout]\nextends += ${URL}\n`],
  ])('reads a URL %s', (_, text) => {
    expect(readExtends(text)).toEqual([URL]);
  });

  it('keeps the order of several, and a fragment', () => {
    expect(readExtends('[buildout]\nextends = a.cfg b.cfg\n  https://x/y.cfg#z\nparts = p\n')).toEqual([
      'a.cfg',
      'b.cfg',
      'https://x/y.cfg#z',
    ]);
  });

  it.each([
    '',
    '[buildout]\n',
    '[buildout]\nextends =\nparts = a\n',
    'extends = a.cfg\n',
    '  extends = a.cfg',
    '\0\xff[',
  ])('finds nothing in %j', (text) => {
    expect(readExtends(text)).toEqual([]);
  });
});

it.each([URL, '/srv/software/a/software.cfg', './a.cfg', '../a/b', 'software.cfg', '~/x/y', 'file:///a'])(
  'takes %s for a software URL',
  (word) => {
    expect(isSoftwareUrl(word)).toBe(true);
  },
);

it.each(['${:base}', 'python', 'https://', '='])('does not take %s for a software URL', (word) => {
  expect(isSoftwareUrl(word)).toBe(false);
});
