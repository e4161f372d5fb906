import { CacheError, systemCode } from '../cache/errors.ts';

/** A failed system call as a person can act on it. What is a CacheError already stays what it is. */
export function storageError(error: unknown, doing: string): CacheError {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CacheError(
      'no-space',
      `${doing}: no room is left on the disk (${code}); free some and try again`,
      {
        cause: error,
      },
    );
  }
  return new CacheError('storage', `${doing}: ${reasonOf(code, error)}`, { cause: error });
}

function reasonOf(code: string | undefined, error: unknown): string {
  switch (code) {
    case 'EACCES':
    case 'EPERM':
      return `permission denied (${code})`;
    case 'EROFS':
      return 'the file system is mounted read-only (EROFS)';
    case 'EFBIG':
      return 'this file system takes no file that large (EFBIG)';
    case 'EIO':
      return 'the disk fails (EIO); look at the kernel log';
    case 'EMFILE':
    case 'ENFILE':
      return `too many open files (${code})`;
    case undefined:
      return error instanceof Error ? error.message : String(error);
    default:
      return code;
  }
}

/** What the system says when bytes, or what leads to them, are lost. */
const LOSSES: ReadonlySet<string | undefined> = new Set([
  'EIO',
  'EUCLEAN',
  'EBADMSG',
  'ENODATA',
  'EREMOTEIO',
]);

/** Whether the disk has lost what was to be read, rather than that it can't be read just now, or not by us. */
export function isLoss(error: unknown): error is CacheError {
  return error instanceof CacheError && LOSSES.has(systemCode(error.cause));
}

/** "There is no such object" is a miss; any other fault of the disk is an error. */
export function throwUnlessAbsent(error: unknown, doing: string): void {
  if (systemCode(error) !== 'ENOENT') throw storageError(error, doing);
}
