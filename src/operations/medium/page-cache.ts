import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Drops files from the page cache, so that a read-back tests the disk and not the memory. Uses dd of coreutils,
 * because Node has no posix_fadvise.
 * @param paths a few hundred at most, of fsynced files
 * @returns false if there is no such dd
 */
export async function dropFromPageCache(paths: readonly string[]): Promise<boolean> {
  try {
    await run('sh', ['-c', DROP, 'sh', ...paths]);
    return true;
  } catch {
    return false; // The caller reports it.
  }
}

const DROP = 'for file do dd if="$file" iflag=nocache count=0 2>/dev/null || exit 1; done';
