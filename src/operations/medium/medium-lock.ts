import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { takeLongLock } from '../../storage/long-lock.ts';
import { writeError } from '../files.ts';

/** Stands in the folder of a medium, beside its store, while an export writes to it. Nothing else looks at it. */
const LOCK = 'export.lock';

/**
 * Keeps other exports from writing to a medium at the same time.
 * @returns what ends that; to be called once, always
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
