import { readdirSync, readlinkSync, unlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ownerTag } from './temporary-name.ts';

const OPEN_FILES = '/proc/self/fd';

/**
 * Removes, at once, the temporary files that this process is writing, wherever they are: for when it is about to end.
 * Without it they take up room until somebody writes there again. What has its name already stays; without /proc, all does.
 */
export function removeOpenTemporaries(): void {
  for (const number of attempt(() => readdirSync(OPEN_FILES)) ?? []) {
    attempt(() => {
      const path = readlinkSync(join(OPEN_FILES, number));
      // Archives that are being written are hidden besides.
      if (basename(path).replace(/^\./, '').startsWith(`${ownerTag()}.`)) unlinkSync(path);
    });
  }
}

function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined; // Gone by now, or not ours to remove: as if it were killed.
  }
}
