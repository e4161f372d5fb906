import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { takeLongLock } from '../../storage/long-lock.ts';
import { writeError } from '../files.ts';

/** Exists in the folder of a medium, next to its store, while an export writes to it. No other code reads it. */
const LOCK = 'export.lock';

/**
 * Prevents concurrent exports to a medium.
 * @returns a function that unlocks it; always call it, once
 * @throws CacheError `storage`: another export writes to it
 */
export async function lockMedium(
  folder: string,
  onNote: (text: string) => void,
): Promise<() => Promise<void>> {
  const onWait = (): void => {
    onNote(`note: an export from elsewhere has left ${join(folder, LOCK)}; looking whether it goes on`);
  };
  const free = await takeLongLock(folder, LOCK, { onWait }).catch((error: unknown) => {
    throw error instanceof CacheError ? error : writeError(join(folder, LOCK), error);
  });
  if (free !== undefined) return free;
  throw new CacheError(
    'storage',
    `another export to ${folder} is running; when it has ended, run this one again`,
  );
}
