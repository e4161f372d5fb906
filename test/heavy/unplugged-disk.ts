import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { onTestFinished, type TestContext } from 'vitest';

const run = promisify(execFile);

/**
 * A disk with ext4 that can be pulled out: fuse2fs shows the image, and when that is killed every access fails as those to
 * a disk that is gone. What was not written to the image by then is lost.
 */
export interface UnpluggedDisk {
  /** Where it is mounted. */
  readonly folder: string;
  plug(options?: { readonly readOnly?: boolean }): Promise<void>;
  /** At once, in the middle of whatever happens. */
  pull(): Promise<void>;
  /** Takes away the mount, as `umount -l` does: who uses it goes on with it, the folder shows what lies beneath. */
  detach(): Promise<void>;
  /** What lies beneath, after `detach`. */
  beneath(): Promise<readonly string[]>;
  /** As `umount` does, all written. */
  unmount(): Promise<void>;
  /** Empties it; it is not plugged in afterwards. */
  format(): Promise<void>;
}

/** Skips the test where there can't be one. */
export async function makeUnpluggedDisk(
  context: TestContext,
  image: string,
  folder: string,
  size: number,
): Promise<UnpluggedDisk> {
  let program: ChildProcess | undefined;
  let isPulled = false;
  await mkdir(folder, { recursive: true });

  const end = async (): Promise<void> => {
    if (program === undefined) return;
    const ending = program;
    program = undefined;
    if (ending.exitCode === null && ending.signalCode === null) await once(ending, 'exit');
  };

  const forget = async (): Promise<void> => {
    if (!isPulled) return;
    isPulled = false;
    await run('umount', ['-l', folder]);
  };

  const disk: UnpluggedDisk = {
    folder,
    async plug({ readOnly = false } = {}) {
      await forget();
      // As with any disk that was pulled out; fuse2fs has no journal to go through, so it fixes everything it can. 1: something was.
      await run('e2fsck', ['-fy', image]).catch((error: unknown) => {
        if (!(error instanceof Error && 'code' in error && error.code === 1)) throw error;
      });
      const options = ['-o', readOnly ? 'ro' : 'rw,fakeroot'];
      let complaint = '';
      program = spawn('fuse2fs', ['-f', ...options, image, folder], { stdio: ['ignore', 'ignore', 'pipe'] });
      program.stderr?.on('data', (text: Buffer) => (complaint += text.toString()));
      for (let wait = 0; ; wait++) {
        const isThere = await run('mountpoint', ['-q', folder]).then(
          () => true,
          () => false,
        );
        if (isThere) return;
        if (wait > 1500 || program.exitCode !== null) throw new Error(`fuse2fs did not mount: ${complaint}`);
        await sleep(20);
      }
    },
    async pull() {
      program?.kill('SIGKILL');
      await end();
      // It stays mounted, and every access fails, until whoever uses it has gone.
      isPulled = true;
    },
    async detach() {
      await run('umount', ['-l', folder]);
    },
    async beneath() {
      // The program ends with the last who used it.
      await end();
      return readdir(folder);
    },
    async unmount() {
      // Somebody who was killed may be on the way out still.
      for (let wait = 0; ; wait++) {
        try {
          await run('umount', [folder]);
          break;
        } catch (error) {
          if (wait > 100) throw error;
          await sleep(50);
        }
      }
      await end();
    },
    async format() {
      await rm(image, { force: true });
      await writeFile(image, '');
      await truncate(image, size);
      await run('mkfs.ext4', ['-q', '-F', image]);
    },
  };
  try {
    await disk.format();
    await disk.plug();
    await disk.unmount();
  } catch (error) {
    context.skip(`needs fuse2fs and e2fsck: ${error instanceof Error ? error.message : String(error)}`);
  }
  onTestFinished(async () => {
    if (program !== undefined) await disk.pull();
    await forget();
  });
  return disk;
}
