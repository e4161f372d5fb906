import { constants } from 'node:os';

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
  /** Fewer bytes came than were announced, or more. */
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
  /** An object of a store is lost or is not what was written: the others may be sound. */
  | 'damaged'
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

/** Whether an object is damaged, or lost by the disk; another fault says nothing about it. */
export function isDamage(error: unknown): error is CacheError {
  return error instanceof CacheError && error.code === 'damaged';
}

/** The error code of a failed system call (`ENOENT`, …), or undefined when `error` is something else. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof CacheError || !(error instanceof Error) || !('code' in error)) return undefined;
  if (typeof error.code !== 'string') return undefined;
  // libuv knows no EDQUOT, EUCLEAN, EBADMSG, ESTALE: the code is `Unknown system error -122` then.
  const errno = 'errno' in error && error.code.startsWith('Unknown') ? Number(error.errno) : undefined;
  return (errno === undefined ? undefined : nameOf(-errno)) ?? error.code;
}

/** Codes that Node has no constants for, by their numbers in Linux (errno.h). */
const LINUX_CODES: Readonly<Record<string, number>> = {
  ...{ ESHUTDOWN: 108, EUCLEAN: 117, EREMOTEIO: 121, ENOMEDIUM: 123, EMEDIUMTYPE: 124, ENOKEY: 126 },
  ...{ EKEYEXPIRED: 127, EKEYREVOKED: 128, EKEYREJECTED: 129, EHWPOISON: 133 },
};

function nameOf(errno: number): string | undefined {
  const isCode = ([, number]: readonly [string, number]) => number === errno;
  return (Object.entries(constants.errno).find(isCode) ?? Object.entries(LINUX_CODES).find(isCode))?.[0];
}

/** What Node's parsers say of a text; these are TypeErrors, too. */
const OF_A_TEXT: ReadonlySet<string | undefined> = new Set([
  'ERR_ENCODING_INVALID_ENCODED_DATA',
  'ERR_INVALID_URL',
  'ERR_MISSING_PASSPHRASE',
]);

/**
 * Throws an error that comes from a fault of this program, or from a Node that lacks what it needs. To be called first
 * wherever an error becomes a word about what was read: a fault of ours says nothing about that.
 */
export function throwProgrammingError(error: unknown): void {
  const isKind = [TypeError, RangeError, ReferenceError].some((kind) => error instanceof kind);
  if (isKind && !OF_A_TEXT.has(systemCode(error))) throw error;
}

/** What Node makes of a name that is not UTF-8: nothing is found by it again. */
export function isUndecodable(name: string): boolean {
  return name.includes('\uFFFD');
}

export const UNDECODABLE = 'its name is not UTF-8; rename it';

/** A failed system call in a word: its code, or what else the error says. @throws the error when it is a programming error */
export function shortReasonOf(error: unknown): string {
  throwProgrammingError(error);
  const code = systemCode(error);
  if (code === 'ENOENT' && error instanceof Error && 'path' in error && isUndecodable(String(error.path)))
    return UNDECODABLE;
  return code ?? (error instanceof Error ? error.message : String(error));
}
