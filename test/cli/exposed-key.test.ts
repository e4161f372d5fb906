import { execFile } from 'node:child_process';
import { chmod, mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { unmount } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache } from './command.ts';

const run = promisify(execFile);

async function mountNtfs(image: string, folder: string): Promise<void> {
  await run('mkntfs', ['-F', '-q', image]);
  await run('ntfs-3g', [image, folder]);
}

async function mountExfat(image: string, folder: string): Promise<void> {
  await run('mkfs.exfat', [image]);
  const { stdout } = await run('losetup', ['--find', '--show', image]);
  const device = stdout.trim();
  onTestFinished(async () => {
    await run('losetup', ['--detach', device]);
  });
  await run('mount.exfat-fuse', [device, folder]);
}

const MIB = 1024 * 1024;

describe('a signing key that others may read', () => {
  it('is told by the script that signs a release of this program', async () => {
    const folder = await temporaryFolder();
    await runCache(folder, 'init', 'site');
    await chmod(join(folder, 'site/miscellaneous/sign.key'), 0o644);
    await writeFile(join(folder, 'SHA512SUMS'), 'x');
    const script = fileURLToPath(new URL('../../scripts/sign-checksums.ts', import.meta.url));
    const args = ['--import', 'tsx', script, join(folder, 'site/config.ini'), join(folder, 'SHA512SUMS')];
    const { stderr } = await run(process.execPath, args);
    expect(stderr).toMatch(/^cache: .*sign\.key: users other than its owner may use this key \(mode 0644\)/);
  });

  it('is told by each command that uses it, with what to do', async () => {
    const folder = await temporaryFolder();
    const made = await runCache(folder, 'init', 'site');
    expect(made.stderr).not.toMatch(/others/);
    const key = join(folder, 'site', 'miscellaneous', 'sign.key');
    const release = await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN);
    await packRelease(release, join(folder, 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz'));
    await mkdir(join(folder, 'medium'));
    const on = ['-q', '-c', join('site', 'config.ini')];
    const uses = [
      ['import', ...on, 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz'],
      ['export', ...on, 'medium'],
      ['inventory', ...on],
      ['keygen', ...on],
      ['init', '-q', 'site'],
    ];
    for (const [mode, shown] of [
      [0o644, '0644'],
      [0o640, '0640'],
      [0o604, '0604'],
    ] as const) {
      await chmod(key, mode);
      for (const args of uses) {
        const { code, stderr } = await runCache(folder, ...args);
        expect(stderr, args[0]).toContain(
          `sign.key: users other than its owner may use this key (mode ${shown}), which decides what nodes run as root: chmod 600 '`,
        );
        expect(code).toBe(0);
      }
    }
    await chmod(key, 0o400);
    for (const args of uses) expect((await runCache(folder, ...args)).stderr, args[0]).not.toMatch(/others/);
  });

  it.for([
    ['NTFS', mountNtfs],
    ['exFAT', mountExfat],
  ] as const)('is told on %s, where chmod does not help', async ([, mount], context) => {
    const folder = await temporaryFolder();
    const disk = join(folder, 'disk');
    await mkdir(disk);
    await writeFile(join(folder, 'image'), '');
    await truncate(join(folder, 'image'), 64 * MIB);
    await mount(join(folder, 'image'), disk).catch((error: unknown) => {
      context.skip(`needs its driver for FUSE: ${String(error)}`);
    });
    onTestFinished(() => unmount(disk));
    const { stderr } = await runCache(folder, 'init', 'disk');
    expect(stderr).toMatch(
      /sign\.key: users other than its owner may use this key \(mode 0777\).*; its file system \(fuse\w*\) keeps no permissions: mount it with -o umask=077, or keep the key on another disk/,
    );
    expect(stderr).not.toMatch(/chmod/);
  });
});
