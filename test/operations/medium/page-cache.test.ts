import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { dropFromPageCache } from '../../../src/operations/medium/page-cache.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';

const run = promisify(execFile);

/** Bytes of a file that the kernel has in memory. */
async function residentBytes(path: string): Promise<number> {
  const { stdout } = await run('fincore', ['--bytes', '--noheadings', '--output', 'RES', path]);
  return Number(stdout.trim());
}

it('forgets files, so that they are read from the disk', async (context) => {
  const folder = await temporaryFolder();
  const paths = [join(folder, "it's"), join(folder, '-n $(false) *')];
  for (const path of paths) {
    const file = await open(path, 'w');
    await file.write(Buffer.alloc(1024 * 1024, 'x'));
    await file.sync();
    await file.close();
  }
  const before = await Promise.all(paths.map(residentBytes)).catch(() => undefined);
  if (before === undefined) context.skip('needs fincore of util-linux');
  expect(before).toEqual([1024 * 1024, 1024 * 1024]);
  expect(await dropFromPageCache(paths)).toBe(true);
  const { stdout } = await run('stat', ['--file-system', '--format', '%T', folder]);
  if (stdout.trim() === 'tmpfs') context.skip('a file system in memory has no other place to read from');
  expect(await Promise.all(paths.map(residentBytes))).toEqual([0, 0]);
});

it('says so where it can not', async () => {
  const path = process.env['PATH'];
  onTestFinished(() => {
    process.env['PATH'] = path;
  });
  process.env['PATH'] = '/nonexistent';
  expect(await dropFromPageCache(['/etc/passwd'])).toBe(false);
});
