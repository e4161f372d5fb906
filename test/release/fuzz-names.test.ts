import fc from 'fast-check';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { isArchiveName, parseArchiveName } from '../../src/release/archive-name.ts';
import { createMemberRules } from '../../src/release/member-rules.ts';

const numRuns = process.env['SHACACHE_HEAVY'] === undefined ? 500 : 10_000;

/** What tempts: separators, dots, platforms, controls, beside any other text. */
const piece = fc.oneof(
  fc.constantFrom(
    '/',
    '//',
    '.',
    '..',
    '../',
    '\\',
    '\0',
    '\n',
    '-',
    'ubuntu',
    '22.04',
    'x86_64',
    '.tar.gz',
    'é',
    ' ',
  ),
  fc.string({ unit: 'binary', maxLength: 8 }),
);
const name = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));

it('any file name is read: its base is the beginning of its name, and that the beginning of it', () => {
  fc.assert(
    fc.property(name, (file) => {
      const parsed = parseArchiveName(file);
      expect(file.startsWith(parsed.name)).toBe(true);
      expect(parsed.name.startsWith(parsed.base)).toBe(true);
      expect(typeof isArchiveName(file)).toBe('boolean');
    }),
    { numRuns },
  );
});

it('any member name is refused, or stays within the folder that it begins with', () => {
  let accepted = 0;
  fc.assert(
    fc.property(name, fc.boolean(), (path, isInside) => {
      const whole = isInside ? `folder/${path}` : path;
      let components: readonly string[];
      try {
        components = createMemberRules().check({ path: whole, kind: 'file', size: 0, linkTarget: '' });
      } catch (error) {
        expect(error).toBeInstanceOf(CacheError);
        return;
      }
      accepted++;
      const [first = ''] = components;
      expect(first).not.toBe('');
      expect(posix.join('/root', whole).startsWith(`/root/${first}`)).toBe(true);
      expect(posix.join('/root', whole).split('/')).not.toContain('..');
      expect(whole).not.toContain('\0');
    }),
    { numRuns },
  );
  expect(accepted).toBeGreaterThan(numRuns / 20);
});
