import fc from 'fast-check';
import { posix } from 'node:path';
import { expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { createMemberRules } from '../../src/release/member-rules.ts';
import type { TarMember } from '../../src/release/tar-walker.ts';

/** Few names, so that members meet; written in several ways. */
const path = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }), fc.constantFrom('/', '//', '/./'))
  .map(([names, separator]) => ['top', ...names].join(separator));
const kind = fc.constantFrom('file', 'directory', 'symlink', 'hard-link', 'fifo');
const member: fc.Arbitrary<TarMember> = fc
  .tuple(kind, path, fc.constantFrom('', '/', '//'), path)
  .map(([kind, name, end, target]) => ({
    kind,
    path: kind === 'directory' ? name + end : name,
    linkTarget: kind === 'symlink' ? 'x' : kind === 'hard-link' ? target : '',
    size: 0,
  }));

/** Most hard links are of something that is there: `pick` tells of which. */
const members = fc.array(fc.tuple(member, fc.nat(10)), { minLength: 8, maxLength: 16 }).map((drawn) =>
  drawn.map(([one, pick]) => {
    const target = drawn[pick]?.[0].path.replace(/\/+$/, '') ?? one.linkTarget;
    return one.kind === 'hard-link' ? { ...one, linkTarget: target } : one;
  }),
);

const placeOf = (name: string): string => posix.join(name, '.');

/** Whether a member can't be unpacked beside those before it without touching what they are. */
function isWrong({ kind, path, linkTarget }: TarMember, before: readonly TarMember[]): boolean {
  const isBelow = (place: string, above: string): boolean => place.startsWith(`${above}/`);
  const others = before.map((one) => ({ kind: one.kind, place: placeOf(one.path) }));
  const noFolders = others.filter((one) => one.kind !== 'directory');
  const isInNoFolder = (place: string): boolean => noFolders.some((one) => isBelow(place, one.place));
  const place = placeOf(path);
  if (isInNoFolder(place)) return true;
  if (noFolders.some((one) => one.place === place)) return true;
  if (kind !== 'directory' && others.some((one) => one.place === place || isBelow(one.place, place)))
    return true;
  if (kind !== 'hard-link') return false;
  const target = placeOf(linkTarget);
  return isInNoFolder(target) || !noFolders.some((one) => one.place === target && one.kind !== 'symlink');
}

it('refuses what would be unpacked through, or into, something that came before, and nothing else', () => {
  const counts = { refused: 0, links: 0 };
  fc.assert(
    fc.property(members, (members) => {
      const taken: TarMember[] = [];
      for (const each of members) {
        const rules = createMemberRules();
        for (const one of taken) rules.check(one);
        let fault: unknown;
        try {
          rules.check(each);
        } catch (error) {
          fault = error;
        }
        expect(fault instanceof CacheError).toBe(isWrong(each, taken));
        counts.refused += Number(fault !== undefined);
        counts.links += Number(fault === undefined && each.kind === 'hard-link');
        if (fault === undefined) taken.push(each);
      }
    }),
    { numRuns: 2000 },
  );
  expect(counts.refused).toBeGreaterThan(1000);
  expect(counts.links).toBeGreaterThan(100);
});
