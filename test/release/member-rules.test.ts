import fc from 'fast-check';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { createMemberRules } from '../../src/release/member-rules.ts';
import type { TarMember } from '../../src/release/tar-walker.ts';

/** Few names, so that members meet; written in several ways. */
const path = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }), fc.constantFrom('/', '//', '/./'))
  .map(([names, separator]) => ['top', ...names].join(separator));
const member: fc.Arbitrary<TarMember> = fc.oneof(
  path.map((name) => ({ path: name, kind: 'file' as const, linkTarget: '', size: 0 })),
  fc
    .tuple(path, fc.constantFrom('', '/', '//'))
    .map(([name, end]) => ({ path: name + end, kind: 'directory' as const, linkTarget: '', size: 0 })),
  path.map((name) => ({ path: name, kind: 'symlink' as const, linkTarget: 'x', size: 0 })),
  fc.tuple(path, path).map(([name, target]) => ({
    path: name,
    kind: 'hard-link' as const,
    linkTarget: `${target}/x`,
    size: 0,
  })),
);

it('refuses whatever lies behind a symbolic link that came before, and nothing else', () => {
  let refused = 0;
  fc.assert(
    fc.property(fc.array(member, { maxLength: 12 }), (members) => {
      const rules = createMemberRules();
      const symlinks: string[] = [];
      for (const each of members) {
        const places = each.kind === 'hard-link' ? [each.path, each.linkTarget] : [each.path];
        const isBehind = places
          .map((place) => posix.join(place, '.'))
          .some((place) => symlinks.some((symlink) => place.startsWith(`${symlink}/`)));
        let fault: unknown;
        try {
          rules.check(each);
        } catch (error) {
          fault = error;
        }
        expect(fault instanceof CacheError).toBe(isBehind);
        if (isBehind) {
          expect(String(fault)).toContain('lies behind the symbolic link');
          refused++;
          return;
        }
        if (each.kind === 'symlink') symlinks.push(posix.normalize(each.path));
      }
    }),
    { numRuns: 3000 },
  );
  expect(refused).toBeGreaterThan(300);
});
