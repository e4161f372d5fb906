import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CacheError, systemCode, throwProgrammingError } from '../cache/errors.ts';

interface Meaning {
  /** For a person to act on. */
  readonly reason: string;
  /** `full`: the disk takes no more bytes. `loss`: bytes, or the metadata that lead to them, are lost. */
  readonly kind?: 'full' | 'loss';
}

/** The meaning of each code of a failed system call; other codes are shown as they are. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOSPC: { kind: 'full', reason: 'no room is left on the disk (ENOSPC); free some and try again' },
  EDQUOT: {
    kind: 'full',
    reason: "the user's quota on the disk is used up (EDQUOT); free some and try again",
  },
  EACCES: { reason: 'permission denied (EACCES)' },
  EPERM: { reason: 'permission denied (EPERM)' },
  EROFS: { reason: 'the file system is mounted read-only (EROFS)' },
  EFBIG: { reason: 'this file system takes no file that large (EFBIG)' },
  EXDEV: {
    reason:
      "a folder of the store is on another file system than the rest (EXDEV); put the whole store on one: mount the disk at the store's own folder",
  },
  EMFILE: { reason: 'too many open files (EMFILE)' },
  ENFILE: { reason: 'too many open files (ENFILE)' },
  ESTALE: { reason: 'the network file system has lost sight of it (ESTALE); mount it again' },
  ENODEV: { reason: 'the disk is gone (ENODEV)' },
  ENXIO: { reason: 'the disk is gone (ENXIO)' },
  ENOMEDIUM: { reason: 'the disk is gone (ENOMEDIUM)' },
  EIO: { kind: 'loss', reason: 'the disk fails (EIO); look at the kernel log' },
  EREMOTEIO: { kind: 'loss', reason: 'the disk fails (EREMOTEIO); look at the kernel log' },
  ENODATA: { kind: 'loss', reason: 'the disk fails (ENODATA); look at the kernel log' },
  EHWPOISON: { kind: 'loss', reason: 'its page of memory is bad (EHWPOISON); look at the kernel log' },
  EUCLEAN: {
    kind: 'loss',
    reason: 'the file system is damaged (EUCLEAN); look at the kernel log, check it with fsck',
  },
  EBADMSG: {
    kind: 'loss',
    reason: 'the file system is damaged (EBADMSG); look at the kernel log, check it with fsck',
  },
};

/**
 * Turns a failed system call into an error that a person can act on; returns a CacheError unchanged.
 * @throws the error itself if it is a programming error
 */
export function storageError(error: unknown, doing: string): CacheError {
  if (error instanceof CacheError) return error;
  return new CacheError(isFull(error) ? 'no-space' : 'storage', `${doing}: ${reasonOf(error)}`, {
    cause: error,
  });
}

/** The same for reading an object: bytes that the disk has lost are damage of this object. */
export function readError(error: unknown, doing: string): CacheError {
  const failure = storageError(error, doing);
  if (kindOf(error) !== 'loss') return failure;
  return new CacheError('damaged', failure.message, { cause: error });
}

/**
 * Why a system call failed, with its code.
 * @throws the error itself if it is a programming error
 */
function reasonOf(error: unknown): string {
  throwProgrammingError(error);
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error.message : String(error);
  return (code === 'ENOSPC' ? withoutInodes(error) : undefined) ?? MEANINGS[code]?.reason ?? code;
}

/** Whether the disk or the user's quota is full. */
export function isFull(error: unknown): boolean {
  return kindOf(error) === 'full';
}

/** A missing object is a miss; any other fault of the disk is an error. */
export function throwUnlessAbsent(error: unknown, doing: string, toError = storageError): void {
  if (systemCode(error) !== 'ENOENT') throw toError(error, doing);
}

function kindOf(error: unknown): Meaning['kind'] {
  return MEANINGS[systemCode(error) ?? '']?.kind;
}

/** A file system with room but no free inode also reports ENOSPC. */
function withoutInodes(error: unknown): string | undefined {
  if (!(error instanceof Error && 'path' in error && typeof error.path === 'string')) return undefined;
  let folder = dirname(error.path);
  while (!existsSync(folder)) folder = dirname(folder);
  const { files, ffree } = statfsSync(folder);
  if (files === 0 || ffree > 0) return undefined;
  return 'the file system has room, but takes no more files (ENOSPC: no inode is free); remove files and try again';
}
