import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished, type TestContext } from 'vitest';
import { writeNew } from '../../src/operations/files.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { runCache } from '../cli/command.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { unmount } from '../fixtures/mounts.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const run = promisify(execFile);
const SAID = /the file system has room, but takes no more files \(ENOSPC: no inode is free\); remove files/;

let disk: string;

beforeEach(async () => {
  disk = join(await temporaryFolder(), 'disk');
  await mkdir(disk);
});

/** A file system in memory that takes so many files and folders, with room for 16 MiB. */
async function mountSmall(context: TestContext, files: number): Promise<void> {
  await run('mount', ['-t', 'tmpfs', '-o', `size=16m,nr_inodes=${files}`, 'none', disk]).catch(
    (error: unknown) => {
      context.skip(`needs the right to mount: ${String(error)}`);
    },
  );
  onTestFinished(() => unmount(disk));
}

/** Takes what files are left. */
async function fill(): Promise<void> {
  for (let number = 0; ; number++) {
    try {
      await writeFile(join(disk, String(number)), '');
    } catch {
      return;
    }
  }
}

describe('a file system without free inodes', () => {
  it('is told as that, not as one without room', async (context) => {
    await mountSmall(context, 20);
    const storage = await openStorage(join(disk, 'store'), { write: true });
    await fill();
    await expectCacheError(storage.create(), 'no-space', SAID);
    await expectCacheError(writeNew(join(disk, 'a', 'b', 'sign.key'), 'x', 0o600), 'no-space', SAID);
  });

  it('is told by the command', async (context) => {
    await mountSmall(context, 4);
    const { code, stderr } = await runCache(disk, 'init', 'site');
    expect(stderr).toMatch(SAID);
    expect(code).toBe(3);
  });

  it('without room is told as before', async (context) => {
    await mountSmall(context, 1000);
    const storage = await openStorage(join(disk, 'store'), { write: true });
    const writing = async (): Promise<void> => {
      const writer = await storage.create();
      try {
        await writer.write([new Uint8Array(20 * 1024 * 1024)]);
      } finally {
        await writer.abort();
      }
    };
    await expectCacheError(writing, 'no-space', /no room .*free some and try again/);
  });
});
