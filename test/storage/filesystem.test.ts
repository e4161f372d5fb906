import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { createStoreUpkeep } from '../../src/storage/store-upkeep.ts';
import { cacheErrorOf, expectCacheError } from '../fixtures/expected-error.ts';
import { collect } from '../fixtures/collect.ts';
import { mountFat } from '../fixtures/fat-disk.ts';
import { mountReadOnly, mountTmpfs, unmount } from '../fixtures/mounts.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { describeObjectStorage } from './object-storage-contract.ts';

let root: string;

beforeEach(async () => {
  root = join(await temporaryFolder(), 'store');
});

const openToWrite = () => openStorage(root, { write: true });
const openToRead = () => openStorage(root, { write: false });

async function put(storage: ObjectStorage, name: string, content: string | Uint8Array): Promise<void> {
  const writer = await storage.create();
  try {
    await writer.write([Buffer.from(content)]);
    await writer.commit(name);
  } finally {
    await writer.abort();
  }
}

describeObjectStorage('filesystem', async () => {
  const storage = await openToWrite();
  return { storage, unfinished: () => readdir(join(root, 'tmp')) };
});

describe('opening a store', () => {
  it('makes one where it is to be written, and tells its format', async () => {
    await openToWrite();
    expect(JSON.parse(await readFile(join(root, 'store.json'), 'utf8'))).toEqual({ format: 1 });
    await openToWrite();
    await openToRead();
  });

  it('makes one in an empty folder, and leaves a folder with other things alone', async () => {
    await mkdir(root);
    await openToWrite();
    const home = join(root, '..', 'home');
    await mkdir(join(home, 'Documents'), { recursive: true });
    await expectCacheError(openStorage(home, { write: true }), 'storage', /not empty \(it holds Documents\)/);
    await expectCacheError(openStorage(home, { write: false }), 'storage', /is not a store/);
  });

  it('makes one, though others do at the same time', async () => {
    for (let round = 0; round < 30; round++) {
      root = join(await temporaryFolder(), 'store');
      const later = async (turns: number) => {
        for (let turn = 0; turn < turns; turn++) await stat('/');
        return openToWrite();
      };
      await Promise.all(Array.from({ length: 12 }, (_, turns) => later(turns)));
      expect(JSON.parse(await readFile(join(root, 'store.json'), 'utf8'))).toEqual({ format: 1 });
      expect(await readdir(join(root, 'tmp'))).toEqual([]);
    }
  });

  it('makes none where it is only to be read', async () => {
    await expectCacheError(openToRead(), 'storage', /there is no store at .*is its disk mounted\?$/);
    await mkdir(root);
    await expectCacheError(openToRead(), 'storage', /is not a store/);
    expect(await readdir(root)).toEqual([]);
  });

  it('takes what was put together by copying folders', async () => {
    await put(await openToWrite(), 'bcache/a', 'x');
    await rm(join(root, 'store.json'));
    await rm(join(root, 'tmp'), { recursive: true });
    expect(await (await openToRead()).stat('bcache/a')).toMatchObject({ size: 1 });
    const storage = await openToWrite();
    await put(storage, 'bcache/b', 'y');
    expect((await readdir(root)).sort()).toEqual(['bcache', 'store.json', 'tmp']);
  });

  it('refuses the format of a newer program, and reads nothing of it', async () => {
    await openToWrite();
    await chmod(join(root, 'store.json'), 0o644);
    await writeFile(join(root, 'store.json'), '{"format": 2, "shape": "other"}\n');
    for (const open of [openToWrite, openToRead]) {
      await expectCacheError(open, 'storage', /has format 2; this program knows 1: use a newer one/);
    }
  });

  it.each(['', '{"format": 1', '[]', 'null', '"1"'])(
    'refuses a store.json that holds %j',
    async (content) => {
      await openToWrite();
      await chmod(join(root, 'store.json'), 0o644);
      await writeFile(join(root, 'store.json'), content);
      for (const open of [openToWrite, openToRead]) {
        await expectCacheError(open, 'damaged', /store\.json is damaged: .*restore it/);
      }
    },
  );

  it('refuses a folder of something else, though it has a store.json, and leaves it alone', async () => {
    await mkdir(join(root, 'photos'), { recursive: true });
    await writeFile(join(root, 'store.json'), '{"shop": "x"}');
    await expectCacheError(openToWrite(), 'damaged');
    await expectCacheError(openToRead(), 'damaged');
    expect(await cacheErrorOf(openStore(root, { mode: 'upkeep' }))).toMatchObject({
      code: 'storage',
      message: expect.stringContaining('is not a store') as unknown,
    });
    expect((await readdir(root)).sort()).toEqual(['photos', 'store.json']);
  });

  it('refuses a store.json that is a link to nothing', async () => {
    await mkdir(root);
    await symlink('nothing', join(root, 'store.json'));
    await expectCacheError(openToRead(), 'storage');
    await expectCacheError(openStore(root, { mode: 'upkeep' }), 'storage');
    const { message } = await cacheErrorOf(openToWrite());
    expect(message).toMatch(/store\.json is damaged: it is a link that leads nowhere; restore it as/);
    expect(await readdir(root)).toEqual(['store.json']);
  });

  it('refuses a file in the place of the store', async () => {
    await writeFile(root, '');
    for (const open of [openToWrite, openToRead]) await expectCacheError(open, 'storage', /ENOTDIR|EEXIST/);
  });
});

describe('a store that a dry run would make', () => {
  const openDry = () => openStore(root, { mode: 'read', make: true });

  it('is empty, and nothing is made', async () => {
    const { storage, name } = await openDry();
    expect(name).toBe(root);
    expect(await storage.stat('bcache/a')).toBeUndefined();
    expect(await storage.open('bcache/a')).toBeUndefined();
    expect(await storage.remove('bcache/a')).toBe(false);
    expect(await storage.ensureDurable('bcache/a')).toBe(false);
    expect(await collect(storage.list('bdir/'))).toEqual([]);
    await expectCacheError(storage.create(), 'storage', /there is no store at/);
    await expect(stat(root)).rejects.toThrow('ENOENT');
  });

  it('is the store that is there', async () => {
    await put(await openToWrite(), 'bcache/a', 'x');
    expect(await (await openDry()).storage.stat('bcache/a')).toMatchObject({ size: 1 });
  });
});

describe('a store that vanishes', () => {
  // What is left of a disk that was unplugged: its mount point, a folder on another disk.
  async function vanish(): Promise<void> {
    await rename(root, `${root}-elsewhere`);
    await mkdir(root);
  }

  it.each(['an empty mount point', 'nothing'])('and leaves %s gives errors, never a miss', async (what) => {
    const storage = await openToWrite();
    await put(storage, 'bdir/key/a', 'x');
    expect(await storage.stat('bdir/key/b')).toBeUndefined();
    await vanish();
    if (what === 'nothing') await rm(root, { recursive: true });
    await expectCacheError(storage.stat('bdir/key/a'), 'storage', /no store/);
    await expectCacheError(storage.open('bdir/key/a'), 'storage');
    await expectCacheError(storage.remove('bdir/key/a'), 'storage');
    await expectCacheError(collect(storage.list('bdir/key/')), 'storage');
    await expectCacheError(collect(storage.list('bdir/')), 'storage');
  });

  it('is not written to: its place belongs to another disk', async () => {
    const storage = await openToWrite();
    await vanish();
    await expectCacheError(storage.create(), 'storage');
    expect(await readdir(root)).toEqual([]);
  });

  it('while an object is written leaves the other disk alone', async () => {
    const storage = await openToWrite();
    const writer = await storage.create();
    await writer.write([Buffer.from('x')]);
    await vanish();
    await expectCacheError(writer.commit('bcache/a'), 'storage');
    await writer.abort();
    expect(await readdir(root)).toEqual([]);
    await expectCacheError(storage.stat('bcache/a'), 'storage');
  });

  it('comes back as it was', async () => {
    const storage = await openToWrite();
    await put(storage, 'bcache/a', 'x');
    await vanish();
    await expectCacheError(storage.stat('bcache/a'), 'storage');
    await rm(root, { recursive: true });
    await rename(`${root}-elsewhere`, root);
    expect(await storage.stat('bcache/a')).toMatchObject({ size: 1 });
  });

  it('with its real mount is an error', async (context) => {
    await mountTmpfs(context, root, 1 << 20);
    const storage = await openToWrite();
    await put(storage, 'bcache/a', 'x');
    await unmount(root);
    await expectCacheError(storage.stat('bcache/a'), 'storage', /not a store/);
    await expectCacheError(storage.create(1), 'storage');
    expect(await readdir(root)).toEqual([]);
  });
});

it.each(['bcache', 'bdir'])(
  'a %s on another disk, which is gone, is an error, never a miss',
  async (folder) => {
    const storage = await openToWrite();
    const name = folder === 'bdir' ? 'bdir/key/entry' : 'bcache/blob';
    await put(storage, name, 'x');
    const disk = join(root, '..', 'disk');
    await rename(join(root, folder), disk);
    await symlink(disk, join(root, folder));
    expect(await storage.stat(name)).toBeDefined();
    await rename(disk, join(root, '..', 'unmounted'));
    const message = `${join(root, folder)} is a link to ${disk}, which is not there; is its disk mounted?`;
    for (const attempt of [
      () => storage.stat(name),
      () => storage.open(name),
      () => collect(storage.list(`${folder}/`)),
      () => collect(storage.list(`${folder}/key/`)),
      () => storage.remove(name),
      () => put(storage, name, 'y'),
      () => collect(createStoreUpkeep(root).list(folder)),
    ])
      expect((await cacheErrorOf(attempt())).message).toBe(message);
    await rename(join(root, '..', 'unmounted'), disk);
    expect(await storage.stat(name)).toBeDefined();
  },
);

describe.each(['mount', 'link'])('a bcache on another disk, by a %s', (how) => {
  it('can be read, and whatever would move something there or away says why it can not', async (context) => {
    const storage = await openToWrite();
    await mkdir(join(root, 'bcache'));
    const disk = how === 'mount' ? join(root, 'bcache') : join(root, '..', 'disk');
    if (how === 'link') {
      await rm(join(root, 'bcache'), { recursive: true });
      await symlink(disk, join(root, 'bcache'));
    }
    await mountTmpfs(context, disk, 1 << 20);
    await writeFile(join(disk, 'a'), 'x');
    expect(await storage.stat('bcache/a')).toMatchObject({ size: 1 });
    const reason =
      /: a folder of the store is on another file system than the rest \(EXDEV\); put the whole store on one: mount the disk at the store's own folder$/;
    const upkeep = createStoreUpkeep(root);
    await expectCacheError(put(storage, 'bcache/b', 'x'), 'storage', reason);
    await expectCacheError(upkeep.hide('bcache/a'), 'storage', reason);
    await expectCacheError(upkeep.quarantine.move('bcache/a'), 'storage', reason);
    expect(await readdir(disk)).toEqual(['a']);
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    await put(storage, 'bdir/key/a', 'x');
  });
});

describe('something else in the place of an object', () => {
  it('is never followed when it is a symbolic link', async () => {
    const storage = await openToWrite();
    await put(storage, 'bcache/a', 'x');
    await writeFile(join(root, '..', 'secret'), 'secret');
    await symlink('../../secret', join(root, 'bcache', 'link'));
    await symlink('nowhere', join(root, 'bcache', 'dangling'));
    for (const name of ['bcache/link', 'bcache/dangling']) {
      await expectCacheError(storage.stat(name), 'damaged', /is not a file/);
      await expectCacheError(storage.open(name), 'damaged', /is not a file/);
    }
  });

  it('is replaced, not written through, when it is a symbolic link', async () => {
    const storage = await openToWrite();
    await put(storage, 'bcache/a', 'x');
    await writeFile(join(root, '..', 'secret'), 'secret');
    await symlink('../../secret', join(root, 'bcache', 'link'));
    await put(storage, 'bcache/link', 'blob');
    expect(await readFile(join(root, '..', 'secret'), 'utf8')).toBe('secret');
    expect(await storage.stat('bcache/link')).toMatchObject({ size: 4 });
  });

  it('is an error when it is a folder', async () => {
    const storage = await openToWrite();
    await mkdir(join(root, 'bcache', 'folder'), { recursive: true });
    await expectCacheError(storage.stat('bcache/folder'), 'damaged', /is not a file/);
    await expectCacheError(storage.open('bcache/folder'), 'damaged', /is not a file/);
    await expectCacheError(put(storage, 'bcache/folder', 'x'), 'storage');
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('does not make a reader wait when it is a pipe', async () => {
    const storage = await openToWrite();
    await put(storage, 'bcache/a', 'x');
    execFileSync('mkfifo', [join(root, 'bcache', 'pipe')]);
    await expectCacheError(storage.stat('bcache/pipe'), 'damaged', /is not a file/);
    await expectCacheError(storage.open('bcache/pipe'), 'damaged', /is not a file/);
  });

  it('is an error when it is a file in the place of a folder', async () => {
    const storage = await openToWrite();
    await writeFile(join(root, 'bdir'), '');
    await expectCacheError(storage.stat('bdir/key/a'), 'storage', /ENOTDIR/);
    await expectCacheError(storage.open('bdir/key/a'), 'storage', /ENOTDIR/);
    await expectCacheError(storage.remove('bdir/key/a'), 'storage', /ENOTDIR/);
    await expectCacheError(collect(storage.list('bdir/key/')), 'storage', /ENOTDIR/);
  });
});

describe('files of a store', () => {
  it('get a new name once on FAT, too, which has no hard links', async (context) => {
    const parent = await temporaryFolder();
    const disk = join(parent, 'disk');
    await mountFat(context, join(parent, 'image'), disk, 64 << 20);
    const storage = await openStorage(join(disk, 'store'), { write: true });
    const add = async (text: string): Promise<boolean> => {
      const writer = await storage.create();
      await writer.write([Buffer.from(text)]);
      const isNew = await writer.commitNew('bdir/key/a');
      await writer.abort();
      return isNew;
    };
    expect([await add('first'), await add('second')]).toEqual([true, false]);
    expect(await readFile(join(disk, 'store/bdir/key/a'), 'utf8')).toBe('first');
    expect(await readdir(join(disk, 'store/tmp'))).toEqual([]);
  });

  it('are read-only, and their folders go with the last of them', async () => {
    const storage = await openToWrite();
    await put(storage, 'bdir/key/a', 'x');
    expect((await stat(join(root, 'bdir', 'key', 'a'))).mode & 0o222).toBe(0);
    await storage.remove('bdir/key/a');
    expect(await readdir(join(root, 'bdir'))).toEqual([]);
  });

  it('stay when a stray file keeps their folder', async () => {
    const storage = await openToWrite();
    await put(storage, 'bdir/key/a', 'x');
    await writeFile(join(root, 'bdir', 'key', 'notes.txt'), '');
    expect(await storage.remove('bdir/key/a')).toBe(true);
    expect(await readdir(join(root, 'bdir', 'key'))).toEqual(['notes.txt']);
  });
});

describe('permissions', () => {
  it('that are missing are an error, never a miss', async () => {
    const storage = await openToWrite();
    await put(storage, 'bdir/key/a', 'x');
    await put(storage, 'bcache/b', 'x');
    await chmod(join(root, 'bcache', 'b'), 0);
    await chmod(join(root, 'bdir', 'key'), 0o700);
    await chmod(join(root, 'bdir'), process.geteuid?.() === 0 ? 0o700 : 0);
    onTestFinished(() => chmod(join(root, 'bdir'), 0o755));
    await asOrdinaryUser(async () => {
      await expectCacheError(
        storage.stat('bdir/key/a'),
        'storage',
        /permission denied for the user \S+ \(EACCES\); run the command as the owner, or as root/,
      );
      await expectCacheError(storage.open('bdir/key/a'), 'storage', /permission denied/);
      await expectCacheError(storage.open('bcache/b'), 'storage', /permission denied/);
      await expectCacheError(collect(storage.list('bdir/')), 'storage', /permission denied/);
      await expectCacheError(collect(storage.list('bdir/key/')), 'storage', /permission denied/);
    });
  });

  it("to write that are missing are an error that keeps the system's code", async () => {
    await put(await openToWrite(), 'bcache/a', 'x');
    await chmod(root, 0o555);
    await chmod(join(root, 'tmp'), 0o555);
    onTestFinished(async () => {
      await chmod(root, 0o755);
      await chmod(join(root, 'tmp'), 0o755);
    });
    await asOrdinaryUser(async () => {
      const storage = await openToWrite();
      const error = await cacheErrorOf(storage.create());
      expect(error).toMatchObject({ code: 'storage', cause: { code: 'EACCES' } });
      expect(error.message).toContain('permission denied');
      expect(await storage.stat('bcache/a')).toMatchObject({ size: 1 });
    });
  });

  it('of a file system that is mounted read-only: reading goes on', async (context) => {
    await put(await openToWrite(), 'bcache/a', 'x');
    const mounted = `${root}-mounted`;
    await mountReadOnly(context, root, mounted);
    const storage = await openStorage(mounted, { write: false });
    expect(await storage.stat('bcache/a')).toMatchObject({ size: 1 });
    expect(await collect(storage.list('bcache/'))).toEqual(['bcache/a']);
    await expectCacheError(storage.create(), 'storage', /read-only \(EROFS\)/);
    await expectCacheError(storage.remove('bcache/a'), 'storage', /read-only/);
  });
});

describe('a full disk', () => {
  it('is found out before anything is written, with the reserve counted', async () => {
    await expectCacheError((await openToWrite()).create(2 ** 60), 'no-space', /MiB is free; free some/);
    const careful = await openStorage(root, { write: true, minFreeSpace: 2 ** 60 });
    await expectCacheError(
      careful.create(1),
      'no-space',
      /: needs 0\.1 MiB and must keep 1099511627776\.0 MiB in reserve \(\[upload\] min-free-space\); .* is free;/,
    );
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('is not what two get together that would each have room alone', async () => {
    const gib = 1024 ** 3;
    const { bavail, bsize } = await statfs(dirname(root));
    const storage = await openStorage(root, { write: true, minFreeSpace: bavail * bsize - gib });
    const size = 0.6 * gib;
    const outcomes = await Promise.allSettled([storage.create(size), storage.create(size)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const first = outcomes.find((outcome) => outcome.status === 'fulfilled')?.value;
    await expectCacheError(
      storage.create(size),
      'no-space',
      /: needs 614\.4 MiB plus 614\.4 MiB for other unfinished writes and must keep /,
    );
    // What was written is no longer to come: the disk has it.
    await first?.write([Buffer.alloc(1024 ** 2)]);
    await expectCacheError(storage.create(size), 'no-space');
    await first?.abort();
    await first?.abort();
    const second = await storage.create(size);
    await second.commit('bcache/a');
    await (await storage.create(size)).abort();
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
  });

  it('keeps its reserve from those who do not know how much they write, too', async (context) => {
    const mib = 1 << 20;
    await mountTmpfs(context, root, 64 * mib);
    const storage = await openStorage(root, { write: true, minFreeSpace: 24 * mib });
    const writers = await Promise.all(Array.from({ length: 8 }, () => storage.create()));
    const outcomes = await Promise.allSettled(
      writers.map(async (writer) => {
        for (let count = 0; count < 8; count++) await writer.write([Buffer.alloc(mib)]);
      }),
    );
    const { bavail, bsize } = await statfs(root);
    expect(bavail * bsize).toBeGreaterThanOrEqual(24 * mib);
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'no-space' });
    for (const writer of writers) await writer.abort();
    // Nothing stays promised, and all the rest is had by one who comes with it piece by piece.
    await put(storage, 'bcache/a', Buffer.alloc(20 * mib));
    const last = await storage.create();
    for (let count = 0; count < 18; count++) await last.write([Buffer.alloc(mib)]);
    await last.commit('bcache/b');
  });

  it('is not promised to one who has given up while he waited for it', async () => {
    const { bavail, bsize } = await statfs(dirname(root));
    const mib = 1 << 20;
    const minFreeSpace = bavail * bsize - 1000 * mib;
    const storage = await openStorage(root, { write: true, minFreeSpace });
    for (let count = 0; count < 20; count++) {
      const writer = await storage.create();
      const writing = writer.write([Buffer.alloc(1)]).catch(() => undefined);
      await writer.abort();
      await writing;
    }
    const waiting = storage.create(2 ** 60);
    await expectCacheError(waiting, 'no-space', /^(?!.*other unfinished writes)/);
  });

  it('turns nobody away for the sake of one that has no room', async () => {
    const storage = await openToWrite();
    const outcomes = await Promise.allSettled([storage.create(2 ** 60), storage.create(1)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    for (const outcome of outcomes) if (outcome.status === 'fulfilled') await outcome.value.abort();
  });

  it('is found out while writing: nothing is left, reading goes on, and freed room is used', async (context) => {
    await mountTmpfs(context, root, 4 << 20);
    const storage = await openToWrite();
    await put(storage, 'bcache/a', Buffer.alloc(1 << 20));
    // More than it said, so that nothing else finds it out.
    const writer = await storage.create(1 << 20);
    const writeAll = async () => {
      for (let count = 0; count < 8; count++) await writer.write([Buffer.alloc(1 << 20)]);
    };
    await expectCacheError(writeAll, 'no-space', /ENOSPC/);
    await writer.abort();
    expect(await readdir(join(root, 'tmp'))).toEqual([]);
    expect(await storage.stat('bcache/a')).toMatchObject({ size: 1 << 20 });
    await expectCacheError(storage.create(4 << 20), 'no-space');
    await storage.remove('bcache/a');
    await put(storage, 'bcache/b', Buffer.alloc(3 << 20));
    expect(await storage.stat('bcache/b')).toMatchObject({ size: 3 << 20 });
  });
});

it('what stands behind a link in the place of tmp is nobody who was killed, unless it is named so', async () => {
  await openToWrite();
  const home = join(root, '..', 'home');
  const ofAnother = '01234567-01234567-01234567-12-345.abc';
  for (const name of ['thesis', ofAnother]) {
    await mkdir(join(home, name), { recursive: true });
    await utimes(join(home, name), new Date('2020-01-02'), new Date('2020-01-02'));
  }
  await rm(join(root, 'tmp'), { recursive: true });
  await symlink(home, join(root, 'tmp'));
  expect(await collect(createStoreUpkeep(root).leftovers())).toEqual([`tmp/${ofAnother}`]);
  await openToWrite();
  expect(await readdir(home)).toEqual(['thesis']);
});

describe('what a killed process was writing', () => {
  /** A process that has written half of an object; it waits to be killed. */
  async function startWriter(): Promise<ChildProcess> {
    const module = fileURLToPath(new URL('../fixtures/open-storage.ts', import.meta.url));
    const script = `
      import { openStorage } from ${JSON.stringify(module)};
      const storage = await openStorage(${JSON.stringify(root)}, { write: true });
      const writer = await storage.create();
      await writer.write([Buffer.alloc(1000)]);
      process.stdout.write('written');
      // It uses the writer, or its handle would be closed as garbage.
      setInterval(() => writer, 1000);
    `;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const [text] = (await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(([code]) => {
        throw new Error(`the writer ended with ${String(code)}`);
      }),
    ])) as [Buffer];
    expect(text.toString()).toBe('written');
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }

  const temporaryFiles = () => readdir(join(root, 'tmp'));

  it('goes when the store is opened to be written; what a live process writes stays', async () => {
    await openToWrite();
    const [killed, alive] = [await startWriter(), await startWriter()];
    expect(await temporaryFiles()).toHaveLength(2);
    await openToWrite();
    expect(await temporaryFiles()).toHaveLength(2);
    await kill(killed);
    await openToRead();
    expect(await temporaryFiles()).toHaveLength(2);
    await openToWrite();
    expect(await temporaryFiles()).toEqual([expect.stringContaining(`-${alive.pid ?? 0}-`)]);
    await kill(alive);
    await openToWrite();
    expect(await temporaryFiles()).toEqual([]);
  });

  it('goes when its process number belongs to another process by now', async () => {
    const storage = await openToWrite();
    const writer = await storage.create();
    const [name = ''] = await temporaryFiles();
    // The same process, but for the time at which it started.
    const reused = name.replace(/-(\d+)\./, (_match, start: string) => `-${Number(start) + 1}.`);
    expect(reused).not.toBe(name);
    await writeFile(join(root, 'tmp', reused), '');
    await openToWrite();
    expect(await temporaryFiles()).toEqual([name]);
    await writer.abort();
  });

  it('stays for a day when its process cannot be looked at from here', async () => {
    const storage = await openToWrite();
    const writer = await storage.create();
    const [name = ''] = await temporaryFiles();
    const [host = ''] = name.split('-');
    const elsewhere = name.replace(host, host === '00000000' ? '11111111' : '00000000');
    const inContainer = name.replace(/^(\w+-\w+)-\w+/, '$1-00000000');
    for (const file of [elsewhere, inContainer, 'unknown']) await writeFile(join(root, 'tmp', file), '');
    await openToWrite();
    expect((await temporaryFiles()).sort()).toEqual([name, elsewhere, inContainer, 'unknown'].sort());
    const longAgo = new Date(Date.now() - 25 * 3600_000);
    for (const file of [elsewhere, inContainer, 'unknown'])
      await utimes(join(root, 'tmp', file), longAgo, longAgo);
    // Its own process lives, however old it is.
    await utimes(join(root, 'tmp', name), longAgo, longAgo);
    await openToWrite();
    expect(await temporaryFiles()).toEqual([name]);
    await writer.abort();
  });
});
