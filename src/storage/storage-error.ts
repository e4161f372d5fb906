import { existsSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CacheError, messageOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { systemFault, type SystemFault } from '../cache/system-fault.ts';

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
  if (code === undefined) return messageOf(error);
  return (code === 'ENOSPC' ? withoutInodes(error) : undefined) ?? describe(code);
}

/** `the disk is gone (ENODEV); plug it in and mount it again` */
function describe(code: string): string {
  const fault = systemFault(code);
  if (fault === undefined) return code;
  return `${fault.reason} (${code})${fault.advice === undefined ? '' : `; ${fault.advice}`}`;
}

/** Whether the disk or the user's quota is full. */
export function isFull(error: unknown): boolean {
  return kindOf(error) === 'full';
}

/** A missing object is a miss; any other fault of the disk is an error. */
export function throwUnlessAbsent(error: unknown, doing: string, toError = storageError): void {
  if (systemCode(error) !== 'ENOENT') throw toError(error, doing);
}

function kindOf(error: unknown): SystemFault['kind'] {
  return systemFault(systemCode(error) ?? '')?.kind;
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
