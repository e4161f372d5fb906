import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * Makes the kernel forget what it remembers of files, so that they are read from the disk: what was written is in memory,
 * and would be found right whatever the disk made of it. Node has no posix_fadvise; dd of coreutils has.
 * @param paths a few hundred at most, of files that are fsynced
 * @returns false where there is no such dd
 */
export async function dropFromPageCache(paths: readonly string[]): Promise<boolean> {
  try {
    await run('sh', ['-c', DROP, 'sh', ...paths]);
    return true;
  } catch {
    return false; // The caller says so.
  }
}

const DROP = 'for file do dd if="$file" iflag=nocache count=0 2>/dev/null || exit 1; done';
