import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { appendFile, chmod, link, mkdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { packFolder, type FolderPacking } from '../../src/release/pack-folder.ts';
import { measureTar } from '../../src/release/tar-program.ts';
import { addAwkwardFiles, treeOf, unpackByPython } from '../fixtures/awkward-files.ts';
import { cacheErrorOf, expectCacheError } from '../fixtures/expected-error.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { incompressible, makeSoftwareRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

let folder: string;
let release: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  release = await makeSoftwareRelease(join(folder, 'root'), URL);
});

async function bytesOf({ archive }: FolderPacking): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of archive) pieces.push(piece);
  return Buffer.concat(pieces);
}

const pack = (): Promise<Buffer> => bytesOf(packFolder(release, () => undefined));

/** The environment of this process, for one test. */
function setEnvironment(name: string, value: string): void {
  const before = process.env[name];
  process.env[name] = value;
  onTestFinished(() => {
    if (before === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = before;
  });
}

async function make(context: TestContext, program: string, ...args: readonly string[]): Promise<void> {
  try {
    execFileSync(program, args, { stdio: 'pipe' });
  } catch (error) {
    context.skip(`${program} can't be run here: ${String(error)}`);
  }
  await Promise.resolve();
}

describe('a packed folder', () => {
  it.each(['C.UTF-8', 'C'])(
    "is unpacked by Python's tarfile to what it was, in the locale %s",
    async (locale) => {
      await addAwkwardFiles(release);
      const archive = join(folder, 'archive.tar.gz');
      await writeFile(archive, await pack());
      await unpackByPython(archive, join(folder, 'unpacked'), locale);
      expect(treeOf(join(folder, 'unpacked', basename(release)))).toEqual(treeOf(release));
    },
  );

  it('has a symbolic link with two names twice, and unpacking changes nothing of what it leads to', async () => {
    const victim = join(folder, 'victim');
    await writeFile(victim, 'x');
    await chmod(victim, 0o600);
    for (const [name, target] of [
      ['within', 'buildout.cfg'],
      ['without', victim],
      ['dangling', 'nowhere'],
      [Buffer.from(`${release}/parts/\xe9`, 'latin1'), 'nowhere'],
    ] as const) {
      const path = typeof name === 'string' ? join(release, name) : name;
      await symlink(target, path);
      await link(path, Buffer.concat([Buffer.from(path), Buffer.from('-2')]));
    }
    await link(join(release, 'buildout.cfg'), join(release, 'hard'));
    const before = treeOf(release);
    const archive = join(folder, 'archive.tar.gz');
    await writeFile(archive, await pack());
    await unpackByPython(archive, join(folder, 'unpacked'));
    const [tree, groups] = treeOf(join(folder, 'unpacked', basename(release))) as [unknown, unknown];
    expect([tree]).toEqual((before as unknown[]).slice(0, 1));
    expect(groups).toEqual([]);
    expect((await stat(victim)).mode & 0o777).toBe(0o600);
    expect((await measureTar(release)).linkedSymlink).toMatch(/within|without|dangling|parts/);
  });

  it('is the same bytes each time, whenever it is packed, and other ones when a byte changes', async () => {
    await addAwkwardFiles(release);
    const first = await pack();
    expect((await pack()).equals(first)).toBe(true);
    await writeFile(join(release, 'size/511'), 'z'.repeat(511));
    expect((await pack()).equals(first)).toBe(false);
  });

  it('tells what an import of it would find, and how far it is', async () => {
    await writeFile(join(release, 'parts/payload'), incompressible(5_000_000));
    const { size } = await measureTar(release);
    let read = 0;
    const packing = packFolder(release, (bytes) => (read += bytes));
    await bytesOf(packing);
    expect(packing.contents()).toMatchObject({
      folder: basename(release),
      softwareUrl: URL,
      multiarch: expect.stringMatching(/-linux-gnu/) as string,
      markers: { completed: true, shared: false },
    });
    expect(read).toBe(size);
  });

  it('does not depend on settings of tar', async () => {
    const before = await pack();
    setEnvironment('TAR_OPTIONS', '--format=posix --exclude=*.py --owner=nobody');
    setEnvironment('POSIXLY_CORRECT', '1');
    expect((await pack()).equals(before)).toBe(true);
  });

  it('tells its owners by name, for nodes where they have another number', async () => {
    const archive = join(folder, 'archive.tar.gz');
    await writeFile(archive, await pack());
    const members = execFileSync('tar', ['-tvzf', archive], { encoding: 'utf8' }).trim().split('\n');
    expect(members.length).toBeGreaterThan(10);
    for (const member of members) expect(member.split(/\s+/)[1]).toMatch(`${userInfo().username}/`);
  });

  it('has no sockets, which are named', async () => {
    const server = createServer().listen(join(release, 'parts/socket'));
    onTestFinished(() => void server.close());
    expect((await measureTar(release)).sockets).toEqual([`${basename(release)}/parts/socket`]);
    await pack();
  });

  it('has none of very many sockets either', async () => {
    const server = createServer().listen(join(release, 'parts/socket'));
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const name = 'x'.repeat(200);
    for (let index = 0; index < 500; index++)
      await link(join(release, 'parts/socket'), join(release, `parts/${index}${name}`));
    const { sockets, size } = await measureTar(release);
    expect(sockets).toHaveLength(501);
    expect(size).toBeGreaterThan(10_000);
  });

  it('has its named pipes, without anybody waiting for their writers', async (context) => {
    await make(context, 'mkfifo', join(release, 'parts/pipe'));
    const archive = join(folder, 'archive.tar.gz');
    await writeFile(archive, await pack());
    expect(execFileSync('tar', ['-tvzf', archive], { encoding: 'utf8' })).toMatch(/^p.*parts\/pipe$/m);
  });
});

describe('a folder that cannot be packed', () => {
  it('because a file in it is dated before 1970', async () => {
    await writeFile(join(release, 'parts/old'), 'x');
    execFileSync('touch', ['-d', '1960-01-01', join(release, 'parts/old')]);
    await expectCacheError(pack(), 'invalid-archive', /parts\/old" is dated before 1970.*touch/);
  });

  it('because it holds a device', async (context) => {
    await make(context, 'mknod', join(release, 'parts/null'), 'c', '1', '3');
    await expectCacheError(pack(), 'invalid-archive', /parts\/null" is a device/);
  });

  it('because a file in it grows meanwhile', async () => {
    const file = join(release, '.aaa');
    await writeFile(file, incompressible(20_000_000));
    let grown: Promise<void> | undefined;
    // tar waits while nobody takes what it writes: it's still in the middle of the file then.
    const packing = packFolder(release, () => {
      grown ??= appendFile(file, 'more');
    });
    await expectCacheError(
      bytesOf(packing),
      'invalid-archive',
      /changed while it was packed \(.*\.aaa: file changed/,
    );
    await grown;
  });

  it('because a file in it shrinks meanwhile', async () => {
    const file = join(release, '.aaa');
    await writeFile(file, incompressible(20_000_000));
    let cut: Promise<void> | undefined;
    const packing = packFolder(release, () => {
      cut ??= truncate(file, 19_000_000);
    });
    await expectCacheError(
      bytesOf(packing),
      'invalid-archive',
      /changed while it was packed \(.*\.aaa: File shrank/,
    );
    await cut;
  });

  it('because it is gone meanwhile', async () => {
    await rm(release, { recursive: true });
    for (const act of [pack, () => measureTar(release)])
      await expectCacheError(act, 'invalid-archive', /tar could not read all files \(.*No such file/);
  });

  it('because something in it is not for this user', async () => {
    await chmod(join(folder, 'root'), 0o755);
    await writeFile(join(release, 'parts/secret'), 'x');
    await chmod(join(release, 'parts/secret'), 0o600);
    await mkdir(join(release, 'private'), { mode: 0o700 });
    await mkdir(join(release, 'closed'));
    await symlink('nowhere', join(release, 'closed/link'));
    await chmod(join(release, 'closed'), 0o744);
    if (process.getuid?.() !== 0) await chmod(join(release, 'parts/secret'), 0);
    const error = await asOrdinaryUser(() => cacheErrorOf(pack()));
    expect(error).toMatchObject({ code: 'invalid-archive' });
    expect(error.message).toMatch(/parts\/secret: Cannot open: Permission denied.*pack it as root/);
  });

  it('because there is no tar', async () => {
    setEnvironment('PATH', folder);
    for (const act of [pack, () => measureTar(release)])
      await expectCacheError(act, 'unsupported-archive', /"tar" is not installed.*apt install tar/);
  });

  it('because there is another tar', async () => {
    await writeFile(
      join(folder, 'tar'),
      '#!/bin/sh\necho "tar: unrecognized option: sort=name" >&2; exit 1\n',
      { mode: 0o755 },
    );
    setEnvironment('PATH', folder);
    for (const act of [pack, () => measureTar(release)])
      await expectCacheError(act, 'unsupported-archive', /not GNU tar 1\.28 or newer/);
  });

  it('and tar is ended when nobody wants the rest', async () => {
    await writeFile(join(release, '.aaa'), incompressible(20_000_000));
    await symlink('.', join(release, 'loop'));
    for await (const piece of packFolder(release, () => undefined).archive) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const children = execFileSync('ps', ['-o', 'comm=', '--ppid', String(process.pid)], { encoding: 'utf8' });
    expect(children).not.toMatch(/^tar/m);
  });
});
