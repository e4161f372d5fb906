import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { findArchives } from '../../src/operations/find-archives.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

async function put(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), 'x'.repeat(name.length));
  }
}

const found = async (...paths: readonly string[]) =>
  (await findArchives(paths.map((path) => join(folder, path)))).map(({ path }) =>
    path.slice(folder.length + 1),
  );

describe('the archives that are meant', () => {
  it('by a folder are its own, in the order of their names', async () => {
    await put('b.tar.xz', 'a.tar.gz', 'c.tgz', 'd.tar.bz2', 'e.tar', 'deeper/f.tar.gz', 'older/g.tar.gz');
    expect(await found('')).toEqual(['a.tar.gz', 'b.tar.xz', 'c.tgz', 'd.tar.bz2', 'e.tar']);
    expect((await findArchives([folder]))[0]).toMatchObject({ path: join(folder, 'a.tar.gz'), size: 8 });
  });

  it.each([
    ...['store/store.json', 'software/a.tar.gz', 'packages/b.deb', 'miscellaneous/sign.key', 'Packages/x'],
    ...['config.ini', 'manifest.json', 'export-unfinished.json', 'packages.sha512', 'packages.sha512.sig'],
  ])(
    'by a folder that has something of a medium, such as %s, are none: nobody has signed for them',
    async (name) => {
      await put('a.tar.gz', name);
      await expectCacheError(found(''), 'invalid-medium', /has no manifest\.json: its contents are unsigned/);
      await expectCacheError(found('a.tar.gz', ''), 'invalid-medium', /does not import archives/);
      expect(await found('a.tar.gz')).toEqual(['a.tar.gz']);
    },
  );

  it('by a link to what may be a medium are none', async () => {
    await put('medium/packages/a.tar.gz', 'medium/b.tar.gz');
    await symlink('medium', join(folder, 'link'));
    await symlink('.', join(folder, 'medium', 'software'));
    await expectCacheError(found('link'), 'invalid-medium');
    await expectCacheError(found('medium/software'), 'invalid-medium');
    expect(await found('medium/packages')).toEqual(['medium/packages/a.tar.gz']);
  });

  it('are no companions of archives, no hidden files and no folders', async () => {
    await put(
      'a.tar.gz',
      'a.tar.gz.sha512',
      'a.tar.gz.asc',
      '._a.tar.gz',
      '.a.tar.gz',
      'a.tar.gz.part',
      'notes.txt',
    );
    await mkdir(join(folder, 'folder.tar.gz'));
    expect(await found('')).toEqual(['a.tar.gz']);
  });

  it('by a file is that file, whatever its name', async () => {
    await put('archive', 'a.tar.gz');
    expect(await found('archive')).toEqual(['archive']);
  });

  it('are each there once, though meant twice', async () => {
    await put('a.tar.gz', 'b.tar.gz');
    expect(await found('b.tar.gz', '', 'a.tar.gz')).toEqual(['b.tar.gz', 'a.tar.gz']);
  });

  it('by an empty folder are none', async () => {
    expect(await found('')).toEqual([]);
  });

  it('by a link are what it leads to', async () => {
    await put('real/a.tar.gz');
    await symlink('real', join(folder, 'link'));
    await symlink('../real/a.tar.gz', join(folder, 'real', 'b.tar.gz'));
    expect(await found('link')).toEqual(['link/a.tar.gz', 'link/b.tar.gz']);
  });

  it('count a link to nowhere: it is for the import to say what is wrong with it', async () => {
    await put('a.tar.gz');
    await symlink('nowhere', join(folder, 'b.tar.gz'));
    expect(await found('')).toEqual(['a.tar.gz', 'b.tar.gz']);
  });
});

describe('a path that cannot be meant', () => {
  it('is one that is not there', async () => {
    await expectCacheError(found('none'), 'usage', /none: no such file or folder; is the medium mounted\?$/);
  });

  it('is one below a file, one in a circle of links, or one with too long a name', async () => {
    await put('a.tar.gz');
    await symlink('loop', join(folder, 'loop'));
    await expectCacheError(found('a.tar.gz/x'), 'usage', /ENOTDIR/);
    await expectCacheError(found('loop'), 'usage', /ELOOP/);
    await expectCacheError(found('x'.repeat(300)), 'usage', /ENAMETOOLONG/);
  });

  it('is one that is neither a file nor a folder', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    await expectCacheError(found('pipe'), 'usage', /neither a file nor a folder/);
  });

  it('is one that may not be read', async () => {
    await put('locked/a.tar.gz');
    await chmod(join(folder, 'locked'), 0o700);
    if (process.geteuid?.() !== 0) await chmod(join(folder, 'locked'), 0);
    await asOrdinaryUser(() => expectCacheError(found('locked'), 'usage', /permission denied/));
    await chmod(join(folder, 'locked'), 0o700);
  });
});
