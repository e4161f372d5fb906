/**
 * Everything that can go wrong, as a closed list. Each code has one HTTP status (http/error-response.ts) and
 * one exit code (cli/exit-code.ts); both maps are exhaustive by type.
 */
export type ErrorCode =
  /** A wrong option or argument on the command line. */
  | 'usage'
  /** A configuration file that can't be read or holds something wrong. */
  | 'config'
  | 'invalid-digest'
  | 'invalid-key'
  /** A pair that is no entry: not two strings, no JSON object, no sha512. */
  | 'invalid-entry'
  /** An archive that is cut off, corrupt or not what a software release looks like. */
  | 'invalid-archive'
  /** A medium that was changed, cut off, mixed with another, rolled back, or whose export did not finish. */
  | 'invalid-medium'
  /** A compression that this machine, or the nodes, can't read. */
  | 'unsupported-archive'
  /** Bytes whose sha512 is not the one announced. */
  | 'digest-mismatch'
  /** Fewer bytes came than were announced. */
  | 'incomplete'
  | 'too-large'
  | 'no-space'
  | 'not-found'
  /** No trusted certificate verifies the signature. */
  | 'untrusted'
  /** The key is not the md5 of the URL in the entry. */
  | 'key-mismatch'
  /** An entry names a blob that the store doesn't have. */
  | 'blob-missing'
  /** Who asks is not known (401). */
  | 'unauthorized'
  /** Who asks is known but may not, or nobody may (403). */
  | 'forbidden'
  /** Who asks has sent too many wrong passwords, or too many at a time (429). */
  | 'too-many'
  /** Something needed for the answer (an LDAP server) can't be reached just now. */
  | 'unavailable'
  /** The disk, or whatever keeps the store, failed. */
  | 'storage';

/** An error that a person is meant to read: what is wrong, with which file or field, and what to do. */
export class CacheError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CacheError';
    this.code = code;
  }
}

/** The error code of a failed system call (`ENOENT`, …), or undefined when `error` is something else. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof CacheError || !(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}
