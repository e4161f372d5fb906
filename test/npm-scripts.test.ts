import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { resultOf, type CommandResult } from './cli/command.ts';
import { contentsOf } from './fixtures/folder-contents.ts';
import { makeSoftwareRelease } from './fixtures/software-release.ts';
import { temporaryFolder } from './fixtures/temporary-folder.ts';

const REPOSITORY = join(import.meta.dirname, '..');
const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

/** Processes of which `pid` is the parent, by their names. */
async function childrenOf(pid: number): Promise<ReadonlyMap<string, number>> {
  const list = await promisify(execFile)('ps', ['-o', 'pid=,comm=', '--ppid', String(pid)]).then(
    ({ stdout }) => stdout,
    () => '', // It ends with 1 when there are none.
  );
  return new Map([...list.matchAll(/^ *(\d+) (.*)$/gm)].map(([, id, name = '']) => [name, Number(id)]));
}

/** Whether a process runs; one that waits to be buried does not. */
async function isRunning(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return text !== '' && !/\) [ZX] /.test(text);
}

/** `npm start -- ARGS…`, in a process group of its own that ends with the test. */
function startNpm(...args: readonly string[]) {
  const npm = spawn('npm', ['start', '--', ...args], {
    cwd: REPOSITORY,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const group = npm.pid ?? 0;
  const ended = new Promise((resolve) => npm.once('close', resolve));
  onTestFinished(async () => {
    try {
      process.kill(-group, 'SIGKILL');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
    await ended;
  });
  let shown = '';
  npm.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  return { pid: group, ended, shown: () => shown };
}

async function makeConfig(): Promise<{ readonly folder: string; readonly options: readonly string[] }> {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'store', 'bcache'), { recursive: true });
  await writeFile(join(folder, 'config.ini'), '[store]\npath = store\n');
  const config = ['-c', join(folder, 'config.ini')];
  await promisify(execFile)(process.execPath, [join(REPOSITORY, 'dist/cli/main.js'), 'keygen', ...config]);
  return { folder, options: [...config, '--listen', '127.0.0.1:0'] };
}

it.each(['SIGTERM', 'SIGINT'] as const)('npm start ends its server when npm gets %s', async (signal) => {
  const { options } = await makeConfig();
  const npm = startNpm(...options);
  await expect.poll(npm.shown, { timeout: 50_000 }).toMatch(/^Serving .* on http:\/\/127\.0\.0\.1:\d+$/m);
  const [, url = ''] = /^Serving .* on (http:\S+)$/m.exec(npm.shown()) ?? [];
  expect((await fetch(`${url}/health`)).status).toBe(200);
  process.kill(npm.pid, signal);
  await npm.ended;
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

it('a decompressor of its import ends with it', { timeout: 120_000 }, async () => {
  const { folder, options } = await makeConfig();
  const release = await makeSoftwareRelease(join(folder, 'root'), URL, { payload: 30_000_000 });
  const archive = join(folder, 'kvm-ubuntu-22.04.tar.bz2');
  await promisify(execFile)('tar', [
    '-C',
    join(release, '..'),
    '-cjf',
    archive,
    release.split('/').at(-1) ?? '',
  ]);
  const npm = startNpm(archive, ...options);
  let server = 0;
  let decompressor = 0;
  await expect
    .poll(
      async () => {
        server = [...(await childrenOf(npm.pid)).values()][0] ?? 0;
        decompressor = server === 0 ? 0 : ((await childrenOf(server)).get('bzip2') ?? 0);
        return decompressor;
      },
      { timeout: 50_000, interval: 5 },
    )
    .not.toBe(0);
  process.kill(npm.pid, 'SIGTERM');
  await npm.ended;
  await expect.poll(() => isRunning(server)).toBe(false);
  await expect.poll(() => isRunning(decompressor)).toBe(false);
});

it('what a script runs for long takes the place of its shell, and so gets the signals', async () => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8')));
  for (const name of [
    'start',
    'test',
    'test:heavy',
    'test:executable',
    'test:packaging',
    'test:nodes',
    'bench',
  ])
    expect(scripts[name]?.split(' && ').at(-1)).toMatch(/^(\w+=\S+( -p \S+)? )?exec \w/);
});

it.each(['SIGTERM', 'SIGKILL'] as const)(
  'tests whose runner gets %s leave nothing running',
  { timeout: 120_000 },
  async (signal) => {
    const folder = await temporaryFolder();
    const [started, hanging] = [join(folder, 'started'), join(folder, 'hanging.test.ts')];
    await writeFile(
      hanging,
      `import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
it('hangs', () => {
  writeFileSync(${JSON.stringify(started)}, String(spawn('sleep', ['600']).pid));
  return new Promise(() => undefined);
});
`,
    );
    const config = join(folder, 'vitest.config.mjs');
    await writeFile(
      config,
      `import config from ${JSON.stringify(join(REPOSITORY, 'vitest.config.ts'))};
export default { ...config, test: { ...config.test, include: [${JSON.stringify(hanging)}], globalSetup: [] } };
`,
    );
    await symlink(join(REPOSITORY, 'node_modules'), join(folder, 'node_modules'));
    const vitest = join(REPOSITORY, 'node_modules/vitest/vitest.mjs');
    const args = [vitest, 'run', '--config', config, '--root', REPOSITORY, '--dir', folder];
    const runner = spawn(process.execPath, args, { stdio: 'ignore' });
    const ended = new Promise((resolve) => runner.once('close', resolve));
    const read = (): Promise<string> => readFile(started, 'utf8').catch(() => '');
    await expect.poll(read, { timeout: 80_000 }).toMatch(/^\d+$/);
    runner.kill(signal);
    await ended;
    const pid = Number(await read());
    await expect.poll(() => isRunning(pid)).toBe(false);
  },
);

/** What `git clone` brings of the program, in a folder of its own, with the packages of this one. */
async function cloneProgram(): Promise<string> {
  const clone = join(await temporaryFolder(), 'clone');
  await mkdir(clone);
  for (const name of ['bin', 'src', 'scripts', 'package.json', 'tsconfig.json'])
    await cp(join(REPOSITORY, name), join(clone, name), { recursive: true });
  return clone;
}

/** npm without network, with a cache that is new: so `npx` is for the first time. */
function npx(clone: string): Promise<CommandResult> {
  const env = { ...process.env, npm_config_cache: join(clone, '..', 'npm'), npm_config_offline: 'true' };
  return resultOf(
    spawn('npx', ['cache', '--version'], { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
}

describe('npx cache in a clone', () => {
  it('builds nothing: it can be interrupted, which npm would not get over in the middle of a script', async () => {
    const clone = await cloneProgram();
    await cp(join(REPOSITORY, 'dist'), join(clone, 'dist'), { recursive: true });
    const before = await contentsOf(join(clone, 'dist'));
    // There are no packages: a build would fail.
    expect(await npx(clone)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as string,
    });
    expect(await contentsOf(join(clone, 'dist'))).toEqual(before);
  });

  it('that is not built yet says so, and works as soon as it is', async () => {
    const clone = await cloneProgram();
    const { code, stderr } = await npx(clone);
    expect(stderr).toMatch(/^cache: not built yet; run this where its package\.json is: npm ci$/m);
    expect(code).toBe(2);
    await cp(join(REPOSITORY, 'dist'), join(clone, 'dist'), { recursive: true });
    expect(await npx(clone)).toMatchObject({ code: 0 });
  });
});

it('npm start in a clone that is not built yet says so', async () => {
  const clone = await cloneProgram();
  const { code, stderr } = await resultOf(
    spawn('npm', ['start', '--silent', '--', 'software'], { cwd: clone }),
  );
  expect(stderr).toBe('cache: not built yet; run this where its package.json is: npm ci\n');
  expect(code).toBe(2);
});

it('npm install --global . in a clone makes the command cache', async () => {
  const clone = await cloneProgram();
  await symlink(join(REPOSITORY, 'node_modules'), join(clone, 'node_modules'));
  await cp(join(REPOSITORY, 'dist'), join(clone, 'dist'), { recursive: true });
  const prefix = join(clone, '..', 'prefix');
  const env = { ...process.env, npm_config_cache: join(clone, '..', 'npm'), npm_config_offline: 'true' };
  await promisify(execFile)('npm', ['install', '--global', '--prefix', prefix, '.'], { cwd: clone, env });
  const { stdout } = await promisify(execFile)(join(prefix, 'bin/cache'), ['--version'], { cwd: '/' });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('a build that is killed', () => {
  it.each([
    ['while it writes', 'writeFile', 1],
    ['when it has written', 'rename', 1],
    ['when the program has been put aside', 'rename', 2],
  ])('%s leaves a program or none, and the next one makes it anew', async (_when, call, count) => {
    const clone = await cloneProgram();
    await symlink(join(REPOSITORY, 'node_modules'), join(clone, 'node_modules'));
    await cp(join(REPOSITORY, 'dist'), join(clone, 'dist'), { recursive: true });
    const before = await contentsOf(join(clone, 'dist'));
    const build = (...args: readonly string[]): Promise<CommandResult> =>
      resultOf(spawn(process.execPath, [...args, '--import', 'tsx', 'scripts/build.ts'], { cwd: clone }));
    const help = (): Promise<CommandResult> =>
      resultOf(spawn(process.execPath, [join(clone, 'bin/cache.js'), 'export', '--help']));

    expect(await build('--import', killAt(call, count))).toMatchObject({ code: null });
    expect(existsSync(join(clone, 'dist.new'))).toBe(true);
    if (count === 1) {
      expect(await contentsOf(join(clone, 'dist'))).toEqual(before);
      expect(await help()).toMatchObject({ code: 0 });
    } else
      expect(await help()).toMatchObject({
        code: 2,
        stderr: 'cache: not built yet; run this where its package.json is: npm ci\n',
      });

    expect(await build()).toMatchObject({ code: 0 });
    expect(await help()).toMatchObject({ code: 0 });
    expect((await readdir(clone)).filter((name) => name.startsWith('dist'))).toEqual(['dist']);
  });
});

/** A module for --import, with which a program kills itself at its nth call of a function of fs/promises. */
function killAt(call: string, count: number): string {
  const code = `import fs from 'node:fs/promises'; import { syncBuiltinESMExports } from 'node:module';
    const original = fs.${call}; let calls = 0;
    fs.${call} = (...args) => { if (++calls === ${count}) process.kill(process.pid, 'SIGKILL'); return original(...args); };
    syncBuiltinESMExports();`;
  return `data:text/javascript,${encodeURIComponent(code)}`;
}
