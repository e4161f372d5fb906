import { execFileSync } from 'node:child_process';
import {
  chmod,
  link,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import type { StoreUpkeep } from '../../src/cache/store-upkeep.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { createQuarantine } from '../../src/storage/quarantine.ts';
import { createStoreUpkeep } from '../../src/storage/store-upkeep.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { mountFat } from '../fixtures/fat-disk.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const NOW = new Date('2026-11-21T00:49:03.217Z');
const LONG_AGO = new Date('2020-01-02T03:04:05Z');

let root: string;
let storage: ObjectStorage;
let upkeep: StoreUpkeep;

beforeEach(async () => {
  await makeStore(join(await temporaryFolder(), 'store'));
});

async function makeStore(folder: string): Promise<void> {
  root = folder;
  storage = await openStorage(root, { write: true });
  upkeep = createStoreUpkeep(root);
}

async function put(name: string, content: string): Promise<void> {
  const writer = await storage.create();
  await writer.write([Buffer.from(content)]);
  await writer.commit(name);
}

const text = (name: string) => readFile(join(root, name), 'utf8');

describe('the list of a folder', () => {
  it('has whatever stands there, with its type, and is empty where there is none', async () => {
    await put('bcache/a', 'x');
    await mkdir(join(root, 'bcache', 'folder with a space'));
    await symlink('a', join(root, 'bcache', 'link'));
    execFileSync('mkfifo', [join(root, 'bcache', 'pipe')]);
    expect(new Set(await collect(upkeep.list('bcache')))).toEqual(
      new Set([
        { name: 'a', type: 'file' },
        { name: 'folder with a space', type: 'folder' },
        { name: 'link', type: 'other' },
        { name: 'pipe', type: 'other' },
      ]),
    );
    expect(await collect(upkeep.list('bdir'))).toEqual([]);
  });

  it("takes a link in the place of one of the store's own folders for the folder", async () => {
    await mkdir(join(root, '..', 'big disk'));
    await symlink('../big disk', join(root, 'bcache'));
    await symlink('nowhere', join(root, 'link'));
    await put('bcache/a', 'x');
    expect(await collect(upkeep.list(''))).toEqual(
      expect.arrayContaining([
        { name: 'bcache', type: 'folder' },
        { name: 'link', type: 'other' },
        { name: 'store.json', type: 'file' },
      ]),
    );
    expect(await collect(upkeep.list('bcache'))).toEqual([{ name: 'a', type: 'file' }]);
    await symlink('../unplugged', join(root, 'bdir'));
    await expectCacheError(
      collect(upkeep.list('')),
      'storage',
      /is a link to .*unplugged, which is not there/,
    );
  });

  it('is an error, not empty, where the store is gone or may not be read', async () => {
    await put('bdir/key/a', 'x');
    await chmod(join(root, 'bdir', 'key'), 0o700);
    await asOrdinaryUser(async () => {
      await expectCacheError(collect(upkeep.list('bdir/key')), 'storage', /permission denied/);
    });
    await rm(root, { recursive: true });
    await expectCacheError(collect(upkeep.list('bdir')), 'storage', /there is no store/);
  });
});

describe('quarantine', () => {
  it.each(['move', 'keep'] as const)('by %s keeps name, content and time', async (how) => {
    await put('bcache/a', 'bad');
    await utimes(join(root, 'bcache', 'a'), LONG_AGO, LONG_AGO);
    const target = await createQuarantine(root, () => NOW)[how]('bcache/a');
    expect(target).toBe('quarantine/20261121T004903Z/bcache/a');
    expect(await text(target ?? '')).toBe('bad');
    expect((await stat(join(root, target ?? ''))).mtime).toEqual(LONG_AGO);
    expect((await storage.stat('bcache/a'))?.size).toBe(how === 'move' ? undefined : 3);
  });

  it('keeps what is replaced', async () => {
    await put('bcache/a', 'bad');
    const target = await upkeep.quarantine.keep('bcache/a');
    await put('bcache/a', 'good');
    expect([await text('bcache/a'), await text(target ?? '')]).toEqual(['good', 'bad']);
  });

  it('takes links, folders and pipes as they are', async () => {
    await put('bdir/key/a', 'x');
    await symlink('/etc/passwd', join(root, 'bcache-link'));
    execFileSync('mkfifo', [join(root, 'pipe')]);
    for (const path of ['bdir', 'bcache-link', 'pipe']) {
      const target = await upkeep.quarantine.keep(path);
      expect(target).toMatch(new RegExp(`^quarantine/\\d+T\\d+Z/${path}$`));
    }
    const [run = ''] = await readdir(join(root, 'quarantine'));
    expect((await readdir(join(root, 'quarantine', run))).sort()).toEqual(['bcache-link', 'bdir', 'pipe']);
    expect(await text(`quarantine/${run}/bdir/key/a`)).toBe('x');
    expect((await readdir(root)).sort()).toEqual(['quarantine', 'store.json', 'tmp']);
  });

  it('never replaces anything, whoever puts something there in the same second', async () => {
    const all: string[] = [];
    for (const quarantine of [createQuarantine(root, () => NOW), createQuarantine(root, () => NOW)]) {
      for (const how of ['move', 'keep', 'move'] as const) {
        const content = `bad ${all.length}`;
        await put('bcache/a', content);
        const target = await quarantine[how]('bcache/a');
        expect(await text(target ?? '')).toBe(content);
        all.push(target ?? '');
      }
    }
    expect(new Set(all).size).toBe(6);
    expect(await Promise.all(all.map(text))).toEqual(all.map((_target, index) => `bad ${index}`));
  });

  it('makes nothing when there is nothing to move', async () => {
    const before = await contentsOf(root);
    expect(await upkeep.quarantine.move('bcache/a')).toBeUndefined();
    expect(await upkeep.quarantine.keep('bcache/a')).toBeUndefined();
    expect(await contentsOf(root)).toEqual(before);
  });

  it('moves what nobody can read', async () => {
    await put('bcache/a', 'x');
    await chmod(join(root, 'bcache', 'a'), 0);
    await chmod(root, 0o777);
    await chmod(join(root, 'bcache'), 0o777);
    await asOrdinaryUser(async () => {
      await expectCacheError(storage.open('bcache/a'), 'storage');
      expect(await upkeep.quarantine.move('bcache/a')).toMatch(/^quarantine\//);
    });
    expect(await storage.stat('bcache/a')).toBeUndefined();
  });

  it('on FAT, which knows no links, keeps a copy, so that the object is never away', async (context) => {
    const folder = await temporaryFolder();
    await mountFat(context, join(folder, 'image'), join(folder, 'fat'), 64 << 20);
    await makeStore(join(folder, 'fat', 'store'));
    await put('bcache/a', 'bad');
    await expect(link(join(root, 'bcache', 'a'), join(root, 'linked'))).rejects.toThrow();
    const target = await upkeep.quarantine.keep('bcache/a');
    expect(await text('bcache/a')).toBe('bad');
    await put('bcache/a', 'good');
    expect([await text('bcache/a'), await text(target ?? '')]).toEqual(['good', 'bad']);
    const [, run = ''] = (target ?? '').split('/');
    expect(await readdir(join(root, 'quarantine', run, 'bcache'))).toEqual(['a']);
  });
});

describe('an object that is taken out', () => {
  it('is not there, and comes back as it was', async () => {
    await put('bcache/a', 'abc');
    const before = await storage.stat('bcache/a');
    const taken = await upkeep.hide('bcache/a');
    expect(taken).toMatchObject(before ?? {});
    expect(await storage.stat('bcache/a')).toBeUndefined();
    expect(await collect(storage.list('bcache/'))).toEqual([]);
    await taken?.putBack();
    expect(await storage.stat('bcache/a')).toEqual(before);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is removed for good', async () => {
    await put('bcache/a', 'abc');
    await (await upkeep.hide('bcache/a'))?.remove();
    expect(await storage.stat('bcache/a')).toBeUndefined();
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('comes back when who took it was killed: an entry may name it by now', async () => {
    await put('bcache/a', 'abc');
    const module = fileURLToPath(new URL('../../src/storage/store-upkeep.ts', import.meta.url));
    const script = `
      import { createStoreUpkeep } from ${JSON.stringify(module)};
      await createStoreUpkeep(${JSON.stringify(root)}).hide('bcache/a');
      process.kill(process.pid, 'SIGKILL');
    `;
    expect(() =>
      execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script]),
    ).toThrow();
    expect(await storage.stat('bcache/a')).toBeUndefined();
    const [left = ''] = await collect(upkeep.leftovers());
    expect(left).toMatch(/^tmp\//);
    await openStorage(root, { write: true });
    expect(await text('bcache/a')).toBe('abc');
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it("is nobody's loss when another process has put it back already", async () => {
    await put('bcache/a', 'abc');
    for (const end of ['putBack', 'remove'] as const) {
      const taken = await upkeep.hide('bcache/a');
      const [left = ''] = await readdir(join(root, 'tmp'));
      await upkeep.removeLeftover(`tmp/${left}`);
      expect(await text('bcache/a')).toBe('abc');
      expect(await taken?.[end]()).toBe(end === 'remove' ? false : undefined);
      expect(await text('bcache/a')).toBe('abc');
    }
  });

  it('is not left by a process that can not be seen from here, however old it is', async () => {
    await put('bcache/a', 'abc');
    await utimes(join(root, 'bcache', 'a'), LONG_AGO, LONG_AGO);
    await upkeep.hide('bcache/a');
    const [own = ''] = await readdir(join(root, 'tmp'));
    const elsewhere = own.replace(/^\w+-\w+-\w+-/, '01234567-01234567-01234567-');
    await rename(join(root, 'tmp', own), join(root, 'tmp', elsewhere));
    expect(await collect(upkeep.leftovers())).toEqual([]);
  });

  it('does not replace what was written meanwhile', async () => {
    await put('bcache/a', 'old');
    const taken = await upkeep.hide('bcache/a');
    await put('bcache/a', 'new');
    await taken?.putBack();
    expect(await text('bcache/a')).toBe('new');
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is nothing where there is none', async () => {
    expect(await upkeep.hide('bcache/a')).toBeUndefined();
  });
});

describe('leftovers', () => {
  it('are what writers left that are gone, and can be removed, folders too', async () => {
    const alive = await storage.create();
    onTestFinished(() => alive.abort());
    await utimes(join(root, 'tmp', (await readdir(join(root, 'tmp')))[0] ?? ''), LONG_AGO, LONG_AGO);
    await mkdir(join(root, 'tmp', 'old folder', 'inside'), { recursive: true });
    await writeFile(join(root, 'tmp', 'old'), '');
    await writeFile(join(root, 'tmp', 'new'), '');
    for (const name of ['old', 'old folder']) await utimes(join(root, 'tmp', name), LONG_AGO, LONG_AGO);
    const leftovers = (await collect(upkeep.leftovers())).sort();
    expect(leftovers).toEqual(['tmp/old', 'tmp/old folder']);
    for (const path of leftovers) await upkeep.removeLeftover(path);
    expect(await readdir(join(root, 'tmp'))).toHaveLength(2);
    expect(await collect(upkeep.leftovers())).toEqual([]);
  });
});

describe('a store that is opened to look after it', () => {
  it('is left as it is, with what killed writers left', async () => {
    await writeFile(join(root, 'tmp', 'old'), '');
    await utimes(join(root, 'tmp', 'old'), LONG_AGO, LONG_AGO);
    const before = await contentsOf(root);
    expect((await openStore(root, { mode: 'upkeep' })).markFault).toBeUndefined();
    expect(await contentsOf(root)).toEqual(before);
  });

  it.each(['', '{', '[]', '{"fromat": 1}'])('may have a store.json with %j', async (content) => {
    await put('bcache/a', 'x');
    await chmod(join(root, 'store.json'), 0o644);
    await writeFile(join(root, 'store.json'), content);
    const { storage: opened, markFault } = await openStore(root, { mode: 'upkeep' });
    expect(markFault?.message).toMatch(/store\.json is damaged: .*restore it/);
    expect(await opened.stat('bcache/a')).toMatchObject({ size: 1 });
  });

  it('must be one, and of a known format', async () => {
    await chmod(join(root, 'store.json'), 0o644);
    await writeFile(join(root, 'store.json'), '{"format": 7}');
    await expectCacheError(openStore(root, { mode: 'upkeep' }), 'storage', /has format 7/);
    await expectCacheError(openStore(join(root, 'none'), { mode: 'upkeep' }), 'storage', /there is no store/);
    await expectCacheError(openStore(join(root, 'tmp'), { mode: 'upkeep' }), 'storage', /is not a store/);
  });
});
