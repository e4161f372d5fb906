import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { unpackImage, WITHOUT_IMAGE } from './image.ts';

const run = promisify(execFile);
const QEMU = '/usr/bin/qemu-aarch64-static';
const URL = 'https://example.com/1.0/software/kvm/software.cfg';
const SKIPPED = WITHOUT_IMAGE || (existsSync(QEMU) ? '' : ' (skipped: needs qemu-aarch64-static)');

let folder: string;
let root: string;

beforeEach(async () => {
  if (SKIPPED !== '') return;
  folder = await temporaryFolder();
  root = join(folder, 'root');
  await unpackImage('arm64', folder, root);
});

/** The executable for ARM64 with the libraries of the image, on this processor. */
const argumentsOf = (...args: readonly string[]): readonly string[] => [
  '-L',
  root,
  join(root, 'usr/local/bin/cache'),
  ...args,
];

async function cache(...args: readonly string[]): Promise<string> {
  return (await run(QEMU, argumentsOf(...args), { cwd: folder, maxBuffer: 64 * 1024 * 1024 })).stdout;
}

describe.skipIf(SKIPPED !== '')(`the executable for ARM64${SKIPPED}`, () => {
  it('shows its help, imports, serves and looks up', { timeout: 300_000 }, async () => {
    expect(await cache('--help')).toMatch(/^Usage: cache COMMAND/);
    await packRelease(
      await makeSoftwareRelease(join(folder, 'compiled'), URL, { program: null }),
      join(folder, 'kvm-1.0-ubuntu-22.04.tar.gz'),
    );
    const platform = ['--multiarch', 'aarch64-linux-gnu'];
    expect(await cache('import', ...platform, 'kvm-1.0-ubuntu-22.04.tar.gz')).toMatch(/ imported /);
    const server = spawn(QEMU, argumentsOf('serve', '--json', '--listen', '127.0.0.1:0'), {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise((resolve) => server.once('close', resolve));
    onTestFinished(async () => {
      server.kill('SIGKILL');
      await ended;
    });
    const line = await new Promise<string>((resolve) =>
      server.stdout.setEncoding('utf8').once('data', resolve),
    );
    const [url = ''] = (JSON.parse(line) as { readonly urls: readonly string[] }).urls;
    const found = await cache('lookup', '--server', url, '--os', 'ubuntu-22.04', ...platform, '--json', URL);
    expect(JSON.parse(found)).toMatchObject({
      url: URL,
      entries: [{ compatible: true, verified: true }],
    });
  });
});
