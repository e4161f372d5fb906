import { execFile, spawn } from 'node:child_process';
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { createDirectory } from '../../src/cache/directory.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { ENVIRONMENT, PROGRAM, resultOf, runCache, type CommandResult } from './command.ts';
import { addReleases, makeSite, urlOf, type Site } from './upkeep-site.ts';

async function needStrace(context: TestContext): Promise<void> {
  await promisify(execFile)('strace', ['-o', '/dev/null', 'true']).catch(() => {
    context.skip('needs strace, and the right to use it');
  });
}

/** The command, for which reading the file or folder `path` fails. */
function runFailing(
  error: string,
  path: string,
  cwd: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  return runWith(`inject=pread64,getdents64:error=${error}`, path, cwd, ...args);
}

/** The command, with an injection of strace for system calls on `path`. */
function runWith(
  calls: string,
  path: string,
  cwd: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const strace = ['-f', '-qq', '-o', '/dev/null', '-P', path, '-e', calls];
  const program = [...strace, ...PROGRAM, ...args];
  return resultOf(spawn('strace', program, { cwd, env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** A site with three releases; the blob of the second can't be read. */
async function makeDamagedSite(): Promise<{
  readonly site: Site;
  readonly blob: string;
  readonly sha512: string;
}> {
  const site = await makeSite();
  const [, entry] = await addReleases(site, 3);
  const sha512 = entry?.sha512 ?? '';
  return { site, sha512, blob: join(site.root, 'bcache', sha512) };
}

describe.each(['EUCLEAN', 'EBADMSG', 'EIO'])('a blob whose reading fails with %s', (error) => {
  it('is a finding of verify --deep, which goes on', { timeout: 120_000 }, async (context) => {
    await needStrace(context);
    const { site, blob, sha512 } = await makeDamagedSite();
    const { code, stdout, stderr } = await runFailing(error, blob, site.folder, 'verify', '--deep', '--json');
    expect(JSON.parse(stdout), stderr).toMatchObject({
      findings: [{ kind: 'unreadable', path: `bcache/${sha512}` }],
    });
    expect(stdout).toContain(error);
    expect(code).toBe(1);
  });

  it('is healed from a good copy', { timeout: 120_000 }, async (context) => {
    await needStrace(context);
    const { site, blob, sha512 } = await makeDamagedSite();
    const medium = join(site.folder, 'medium');
    await mkdir(medium);
    expect(await runCache(site.folder, 'export', medium)).toMatchObject({ code: 0 });
    const args = ['verify', '--deep', '--json', '--heal-from', medium];
    const { code, stdout, stderr } = await runFailing(error, blob, site.folder, ...args);
    expect(JSON.parse(stdout), stderr).toMatchObject({
      findings: [{ kind: 'unreadable', path: `bcache/${sha512}`, status: 'healed' }],
    });
    expect(code).toBe(0);
    expect(Object.keys(await contentsOf(join(site.root, 'quarantine'))).join()).toContain(sha512);
  });

  it('is left out by sync, which copies the others', { timeout: 120_000 }, async (context) => {
    await needStrace(context);
    const { site, blob } = await makeDamagedSite();
    const target = await makeSite();
    const { code, stdout, stderr } = await runFailing(
      error,
      blob,
      site.folder,
      'sync',
      site.root,
      target.root,
    );
    expect(stdout + stderr).toContain(error);
    expect(code).toBe(1);
    const keys = [];
    for await (const key of createDirectory(target.storage).keys()) keys.push(key);
    expect(keys).toHaveLength(2);
  });
});

it(
  'a blob that cannot be looked at (EUCLEAN) hides no other from list, inventory and export',
  { timeout: 120_000 },
  async (context) => {
    await needStrace(context);
    const { site, blob, sha512 } = await makeDamagedSite();
    const run = (...args: readonly string[]): Promise<CommandResult> =>
      runWith('inject=lstat,newfstatat,statx:error=EUCLEAN', blob, site.folder, ...args);
    const list = await run('list');
    expect(list.stdout.match(/^ubuntu .*$/gm), list.stderr).toHaveLength(3);
    expect(list.stdout.match(/^ubuntu .* MISSING .*$/gm)).toEqual([expect.stringContaining(urlOf(1))]);
    expect((await run('inventory')).stdout.match(/\bsize\b/g)).toHaveLength(2);
    await mkdir(join(site.folder, 'medium'));
    const { code, stdout, stderr } = await run('export', 'medium');
    expect(stderr).toContain(
      `left out: ${urlOf(1)}: the store has no blob ${sha512}, or it is damaged; see: cache verify`,
    );
    expect([code, stdout.match(/^exported /gm)]).toEqual([1, ['exported ', 'exported ']]);
    expect(await readdir(join(site.folder, 'medium', 'store', 'bdir'))).toHaveLength(2);
  },
);

it(
  'a key whose folder fails with EUCLEAN hides no other from sync',
  { timeout: 120_000 },
  async (context) => {
    await needStrace(context);
    const site = await makeSite();
    await addReleases(site, 3);
    // Wherever it is in the order of the folder.
    for (const key of await readdir(join(site.root, 'bdir'))) {
      const target = await makeSite();
      const args = ['sync', site.root, target.root];
      const { code, stderr } = await runFailing(
        'EUCLEAN',
        join(site.root, 'bdir', key),
        site.folder,
        ...args,
      );
      expect(stderr).toMatch(/^2 copied\ncache: can't list \S+: the file system is damaged \(EUCLEAN\)/);
      expect(code).toBe(3);
      expect(await readdir(join(target.root, 'bdir'))).toHaveLength(2);
    }
  },
);

it.for(['EMFILE', 'ENOMEM'])(
  'a machine that opens no file (%s) says nothing about a medium',
  { timeout: 120_000 },
  async (error, context) => {
    await needStrace(context);
    const site = await makeSite();
    const [release] = await addReleases(site, 2);
    const medium = join(site.folder, 'medium');
    await mkdir(medium);
    expect(await runCache(site.folder, 'export', medium)).toMatchObject({ code: 0 });
    const target = await makeSite();
    const blob = join(medium, 'store/bcache', release?.sha512 ?? '');
    const [entry = ''] = (await readdir(join(medium, 'store/bdir'), { recursive: true })).filter((name) =>
      name.includes('/'),
    );
    for (const path of [blob, join(medium, 'store/bdir', entry)])
      for (const args of [['import'], ['import', '--partial']]) {
        const calls = `inject=openat:error=${error}`;
        const { code, stdout, stderr } = await runWith(calls, path, target.folder, ...args, medium);
        expect(stdout + stderr).not.toMatch(/manifest|changed|damaged|REFUSED/);
        expect(stderr).toMatch(new RegExp(`^cache: can't open \\S+: .* \\(${error}\\)$`, 'm'));
        expect(code).toBe(3);
      }
  },
);

it.for(['EDQUOT', 'ENOSPC'])(
  'an upload whose writing ends with %s is answered with 507',
  { timeout: 120_000 },
  async (error, context) => {
    await needStrace(context);
    const { folder } = await makeSite('[access]\nanonymous = upload\n');
    // -D: the server is our child, and strace beside it.
    const strace = ['-D', '-f', '-qq', '-o', '/dev/null', '-e', `inject=pwritev,pwrite64:error=${error}`];
    const program = [...strace, ...PROGRAM, 'serve', '--listen', '127.0.0.1:0'];
    const server = spawn('strace', program, { cwd: folder, env: ENVIRONMENT });
    const result = resultOf(server);
    onTestFinished(async () => {
      server.kill('SIGTERM');
      await result;
    });
    const [, url = ''] = await lineOf(server.stdout, /^Serving .* on (http:\/\/127\.0\.0\.1:\d+)$/m);
    const response = await fetch(`${url}/bcache`, { method: 'POST', body: 'x'.repeat(100_000) });
    expect(response.status).toBe(507);
    expect(await response.text()).toMatch(/^the store is full/);
  },
);

/** The first match in what a stream brings; the test's time is the limit. */
async function lineOf(stream: Readable, pattern: RegExp): Promise<RegExpExecArray> {
  let shown = '';
  return new Promise((resolve) => {
    stream.on('data', (text: Buffer | string) => {
      shown += text.toString();
      const match = pattern.exec(shown);
      if (match !== null) resolve(match);
    });
  });
}
