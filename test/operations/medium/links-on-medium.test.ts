import { lstat, mkdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { cacheErrorOf } from '../../fixtures/expected-error.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { exportTo, importFrom, prepareTrip, type Trip } from './medium-site.ts';

const LONG_AGO = new Date('2020-01-02T03:04:05Z');

let trip: Trip;
let medium: string;
/** What somebody on the exporting machine doesn't want to lose. */
let home: string;

beforeEach(async () => {
  const folder = await temporaryFolder();
  trip = await prepareTrip(folder);
  medium = trip.medium;
  home = join(folder, 'home');
  await mkdir(join(home, 'joe'), { recursive: true });
  for (const name of ['joe/thesis.txt', 'shadow']) await writeFile(join(home, name), 'precious');
  for (const name of ['joe/thesis.txt', 'joe', 'shadow']) await utimes(join(home, name), LONG_AGO, LONG_AGO);
});

async function link(name: string, target: string): Promise<void> {
  const path = join(medium, name);
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { recursive: true, force: true });
  await symlink(target, path);
}

describe.each(['an empty medium', 'a medium of an earlier export'])('on %s a link', (which) => {
  beforeEach(async () => {
    if (which !== 'an empty medium') await exportTo(medium, trip.connected);
  });

  it.each(['store/tmp', 'store', 'store/bcache', 'store/imports', 'software', 'miscellaneous'])(
    'in the place of %s is refused by an export, which leaves alone what it leads to',
    async (name) => {
      await link(name, home);
      const before = await contentsOf(home);
      const { code, message } = await cacheErrorOf(exportTo(medium, trip.connected));
      expect(code).toBe('invalid-medium');
      expect(message).toContain(join(medium, name).slice(medium.length + 1));
      expect(await contentsOf(home)).toEqual(before);
    },
  );

  it.each(['manifest.json.new', 'export-unfinished.json.new', 'miscellaneous/sign.crt.new', 'manifest.json'])(
    'in the place of %s is replaced, not written through',
    async (name) => {
      await link(name, join(home, 'shadow'));
      const before = await contentsOf(home);
      await exportTo(medium, trip.connected);
      expect(await contentsOf(home)).toEqual(before);
      expect((await lstat(join(medium, 'manifest.json'))).isFile()).toBe(true);
      expect((await importFrom(medium, trip.offline)).map(({ outcome }) => outcome)).toEqual(
        Array.from({ length: 2 }, () => 'imported'),
      );
    },
  );
});

it('a store that is a link to the one that was exported is not imported', async () => {
  await exportTo(medium, trip.connected);
  await rename(join(medium, 'store'), join(home, 'store'));
  await symlink(join(home, 'store'), join(medium, 'store'));
  const { code, message } = await cacheErrorOf(importFrom(medium, trip.offline));
  expect([code, message]).toEqual([
    'invalid-medium',
    `${join(medium, 'store')} is a link; a medium's store is a folder of its own`,
  ]);
  expect(await readFile(join(home, 'shadow'), 'utf8')).toBe('precious');
});
