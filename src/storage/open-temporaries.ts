import { readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ownerTag } from './temporary-name.ts';

const OPEN_FILES = '/proc/self/fd';

/**
 * Removes the temporary files that this process is writing anywhere, just before it ends; otherwise they take up room
 * until the next writer comes. Committed objects stay; without /proc, temporary files stay, too.
 */
export function removeOpenTemporaries(): void {
  for (const number of attempt(() => readdirSync(OPEN_FILES)) ?? []) {
    attempt(() => {
      const path = readlinkSync(join(OPEN_FILES, number));
      // The temporary name of an archive has a leading dot, too.
      if (basename(path).replace(/^\./, '').startsWith(`${ownerTag()}.`)) unlinkSync(path);
    });
  }
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined; // The file is gone, or stays as after a kill.
  }
}
