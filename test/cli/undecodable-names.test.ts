import { spawn } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, PROGRAM, resultOf, runCache } from './command.ts';
import { addReleases, makeSite } from './upkeep-site.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

/** A path whose last name has an é of Latin-1 in it, as an old disk may have. */
const latin1 = (parent: string, name: string): Buffer =>
  Buffer.concat([Buffer.from(`${parent}/`), Buffer.from(name, 'latin1')]);

describe('an archive whose name is not UTF-8', () => {
  it('is told as that, and the others are imported', async () => {
    const release = await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN);
    await mkdir(join(folder, 'software'));
    const good = join(folder, 'software', 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz');
    await packRelease(release, good);
    const bad = join(folder, 'bad.tar.gz');
    await packRelease(release, bad);
    await rename(bad, latin1(join(folder, 'software'), 'caf\u00e9-ubuntu-22.04.tar.gz'));
    const { code, stdout, stderr } = await runCache(folder, 'import', 'software');
    expect(stdout).toMatch(/rapid-cdn\S* +imported/);
    expect(stderr).toMatch(/caf\ufffd-ubuntu-22\.04\.tar\.gz: its name is not UTF-8; rename it$/m);
    expect(stderr).not.toMatch(/medium/);
    expect(code).toBe(1);
  });

  it('is told as that when it is named', async () => {
    await writeFile(latin1(folder, 'caf\u00e9.tar.gz'), '');
    const script = `exec "$@" import "$(printf 'caf\\351.tar.gz')"`;
    const args = ['-c', script, 'sh', ...PROGRAM];
    const { code, stderr } = await resultOf(spawn('sh', args, { cwd: folder, env: ENVIRONMENT }));
    expect(stderr).toBe('cache: caf\ufffd.tar.gz: its name is not UTF-8; rename it\n');
    expect(code).toBe(2);
  });
});

describe('a file in a store whose name is not UTF-8', () => {
  it('is a finding that says so, and --repair leaves it', async () => {
    const site = await makeSite();
    await addReleases(site, 1);
    await writeFile(latin1(join(site.root, 'bcache'), 'caf\u00e9'), 'x');
    const { code, stdout } = await runCache(site.folder, 'verify');
    expect(stdout).toMatch(/^stray: bcache\/caf\ufffd: its name is not a sha512; it is not UTF-8$/m);
    expect(code).toBe(1);
    const repaired = await runCache(site.folder, 'verify', '--repair');
    expect(repaired.stdout).toMatch(/left as it is\n +its name is not UTF-8; rename it/);
    expect(repaired.code).toBe(1);
  });

  it('is damage of a medium', async () => {
    const site = await makeSite();
    await addReleases(site, 1);
    const medium = join(site.folder, 'medium');
    await mkdir(medium);
    expect(await runCache(site.folder, 'export', medium)).toMatchObject({ code: 0 });
    await writeFile(latin1(join(medium, 'store/bcache'), 'caf\u00e9'), 'x');
    for (const command of ['import', 'export']) {
      const { code, stderr } = await runCache(site.folder, command, medium);
      expect(stderr).toMatch(/store\/bcache\/caf\ufffd: .*its name is not UTF-8/);
      expect(code).not.toBe(0);
    }
  });
});
