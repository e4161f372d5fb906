import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { onSync, syncedPaths, traceCache } from '../fixtures/system-calls.ts';
import { lacks } from '../http/outside-programs.ts';
import { runCache, type CommandResult } from './command.ts';
import { addReleases, makeSite, urlOf, type Site } from './upkeep-site.ts';

async function expectEnd(code: number, running: Promise<CommandResult>): Promise<void> {
  const { stdout, stderr, ...result } = await running;
  expect(result.code, `${stdout}${stderr}`).toBe(code);
}

/** Runs a command that is to find everything there. @returns what it synced */
async function syncedBy(site: Site, args: readonly string[], told: RegExp): Promise<readonly string[]> {
  const { code, stdout, stderr, calls } = await traceCache(site.folder, args);
  expect(code, `${stdout}${stderr}`).toBe(0);
  expect(`${stdout}${stderr}`).toMatch(told);
  return syncedPaths(calls);
}

/** The files of blobs and entries of a store, and the folders that name them. */
async function namesIn(store: string): Promise<readonly string[]> {
  const files = await readdir(store, { recursive: true, withFileTypes: true });
  const objects = files
    .filter((file) => file.isFile() && /\/b(cache|dir)/.test(file.parentPath))
    .flatMap((file) => [file.parentPath, join(file.parentPath, file.name)]);
  expect(objects.length).toBeGreaterThan(0);
  return [...new Set([store, join(store, 'bdir'), ...objects])];
}

async function makeArchive(site: Site): Promise<string> {
  const archive = join(site.folder, 'release-ubuntu-22.04.tar.gz');
  await packRelease(await makeSoftwareRelease(join(site.folder, 'root'), urlOf(0)), archive);
  return archive;
}

describe.skipIf(lacks('strace'))(
  'what a command finds there is told as done only when it is on the disk:',
  () => {
    it('an archive whose entry could not be synced the first time', async () => {
      const site = await makeSite();
      const args = ['import', await makeArchive(site)];
      const keyFolder = join(site.root, 'bdir', keyOfSoftwareUrl(urlOf(0)));
      const broken = await traceCache(site.folder, args, onSync(keyFolder, 'error=EIO'));
      expect(broken.code, broken.stdout).toBe(3);
      expect(await syncedBy(site, args, /unchanged/)).toEqual(
        expect.arrayContaining([keyFolder, join(site.root, 'bdir'), site.root]),
      );
    });

    it.each([{ options: [] }, { options: ['--recheck'] }])(
      'an archive, imported with %j',
      async ({ options }) => {
        const site = await makeSite();
        const args = ['import', await makeArchive(site), ...options];
        await expectEnd(0, runCache(site.folder, ...args));
        expect(await syncedBy(site, args, /unchanged/)).toEqual(
          // With --recheck the blob is written anew.
          expect.arrayContaining((await namesIn(site.root)).filter((name) => !/bcache\/./.test(name))),
        );
      },
    );

    it('what is synced, from store to store', async () => {
      const site = await makeSite();
      await addReleases(site, 2);
      const target = join(site.folder, 'deep', 'target');
      await mkdir(join(site.folder, 'deep'));
      const { code, stderr, calls } = await traceCache(site.folder, ['sync', 'store', target]);
      expect(code, stderr).toBe(0);
      // The folder of a new store, and the one that it is in, too.
      const above = [target, join(target, '..')];
      expect(syncedPaths(calls)).toEqual(expect.arrayContaining(above));
      expect(await syncedBy(site, ['sync', 'store', target], /0 .*copied|2 .*unchanged|nothing/)).toEqual(
        expect.arrayContaining([...(await namesIn(target))]),
      );
    });

    it('what is exported, and what is imported from a medium', async () => {
      const site = await makeSite();
      const [entry] = await addReleases(site, 1);
      const medium = join(site.folder, 'medium');
      await mkdir(medium);
      const bcache = join(medium, 'store', 'bcache');
      const broken = await traceCache(site.folder, ['export', medium], onSync(bcache, 'error=EIO'));
      expect(broken.code, broken.stdout).toBe(3);
      const blob = join(bcache, entry?.sha512 ?? '');
      expect(await syncedBy(site, ['export', medium], /exported/)).toEqual(
        expect.arrayContaining([blob, bcache]),
      );
      expect(await syncedBy(site, ['import', medium], /unchanged/)).toEqual(
        expect.arrayContaining([...(await namesIn(site.root))]),
      );
    });

    it('what was removed', async () => {
      const site = await makeSite();
      await addReleases(site, 1);
      expect(await syncedBy(site, ['remove', urlOf(0)], /removed/)).toContain(join(site.root, 'bdir'));
    });

    it('packages and certificate of a medium, and packages that were imported from it', async () => {
      const site = await makeSite();
      await addReleases(site, 1);
      const medium = join(site.folder, 'medium');
      await mkdir(join(medium, 'packages'), { recursive: true });
      await writeFile(join(medium, 'packages', 'a.deb'), 'package');
      const export_ = ['export', medium, '--no-mount-check'];
      await expectEnd(0, runCache(site.folder, ...export_));
      expect(await syncedBy(site, export_, /exported|unchanged|nothing/)).toEqual(
        expect.arrayContaining([join(medium, 'packages/a.deb'), join(medium, 'miscellaneous/sign.crt')]),
      );
      await expectEnd(0, runCache(site.folder, 'import', medium));
      const copy = join(site.root, '..', 'packages/a.deb');
      expect(await syncedBy(site, ['import', medium], /unchanged/)).toContain(copy);
    });

    it('a certificate that is trusted, or is not, and a section of slapos.cfg', async () => {
      const site = await makeSite();
      await expectEnd(0, runCache(site.folder, 'init', 'other'));
      const certificate = 'other/miscellaneous/sign.crt';
      const config = join(site.folder, 'config.ini');
      await expectEnd(0, runCache(site.folder, 'trust', 'add', certificate));
      expect(await syncedBy(site, ['trust', 'add', certificate], /kept/)).toContain(config);
      await expectEnd(0, runCache(site.folder, 'trust', 'remove', certificate));
      const { calls } = await traceCache(site.folder, ['trust', 'remove', certificate]);
      expect(syncedPaths(calls)).toContain(config);
      const slaposCfg = join(site.folder, 'slapos.cfg');
      await writeFile(slaposCfg, '[slapos]\n');
      const into = ['slapos-cfg', '--url', 'http://192.0.2.1:5050', '--into', slaposCfg];
      await expectEnd(0, runCache(site.folder, ...into));
      expect(await syncedBy(site, into, /nothing to change/)).toContain(slaposCfg);
    });

    it('the pair of a signing key that is there', async () => {
      const site = await makeSite();
      await expectEnd(0, runCache(site.folder, 'init', 'new'));
      expect(await syncedBy(site, ['init', 'new'], /kept/)).toEqual(
        expect.arrayContaining(
          ['sign.key', 'sign.crt'].map((name) => join(site.folder, 'new/miscellaneous', name)),
        ),
      );
    });

    it('the pair of a new signing key', async () => {
      const site = await makeSite();
      expect(await syncedBy(site, ['init', 'new'], /made/)).toEqual(
        expect.arrayContaining([
          join(site.folder, 'new', 'miscellaneous'),
          join(site.folder, 'new'),
          site.folder,
        ]),
      );
    });
  },
);
