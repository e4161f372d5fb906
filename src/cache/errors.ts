import { constants } from 'node:os';
import { systemFault } from './system-fault.ts';

/**
 * All error codes. Each has one HTTP status (http/error-response.ts) and one exit code (cli/exit-code.ts); both maps are
 * exhaustive by type.
 */
export type ErrorCode =
  /** A wrong option or argument on the command line. */
  | 'usage'
  /** A configuration file that can't be read or is invalid. */
  | 'config'
  | 'invalid-digest'
  | 'invalid-key'
  /** An invalid entry: not two strings, no JSON object, no sha512. */
  | 'invalid-entry'
  /** An archive that is cut off, corrupt, or no software release. */
  | 'invalid-archive'
  /** A medium that was changed, cut off, mixed with another, rolled back, or not completely exported. */
  | 'invalid-medium'
  /** An archive that this machine, or the nodes, can't read. */
  | 'unsupported-archive'
  /** Bytes with another sha512 than announced. */
  | 'digest-mismatch'
  /** Fewer or more bytes than announced. */
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
  /** The user is unknown (401). */
  | 'unauthorized'
  /** The user, or any user, lacks the right (403). */
  | 'forbidden'
  /** Too many wrong passwords, or too many at a time (429). */
  | 'too-many'
  /** A required service (an LDAP server, another cache) can't be reached now. */
  | 'unavailable'
  /** An object of a store is lost or is not what was written: the others may be sound. */
  | 'damaged'
  /** The disk, or whatever keeps the store, failed. */
  | 'storage';

/** An error for the user: the fault, its file or field, and what to do. */
export class CacheError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CacheError';
    this.code = code;
  }
}

/** A newer version of this program wrote a store, or a document of a medium, which this one must leave as it is. */
export class NewerFormat extends CacheError {
  constructor(
    code: 'storage' | 'invalid-medium',
    { where, format, known }: { readonly where: string; readonly format: unknown; readonly known: number },
  ) {
    super(
      code,
      `${where} has format ${JSON.stringify(format)}; this program knows ${known}: use a newer one`,
    );
  }
}

/** A store can't be reached now: `unavailable` for a client of its server, a fault of the store for a command. */
export class StoreUnavailable extends CacheError {
  /** The store's name. */
  readonly store: string;

  constructor(store: string, message: string, options?: { cause?: unknown }) {
    super('unavailable', message, options);
    this.store = store;
  }
}

/** Whether a store failed, or its disk: then an error says nothing about what was to be stored. */
export function isStoreFault(error: CacheError): boolean {
  return STORE_FAULTS.has(error.code) || error instanceof StoreUnavailable;
}

const STORE_FAULTS: ReadonlySet<ErrorCode> = new Set(['storage', 'no-space', 'damaged']);

/** Whether a connection failed, so that another cache said nothing. */
export function isConnectionFault(error: unknown): boolean {
  if (!(error instanceof CacheError) || error.code !== 'unavailable') return false;
  return error.cause instanceof CacheError
    ? isConnectionFault(error.cause)
    : systemCode(error.cause) !== undefined;
}

/** Whether an object is damaged, or lost by the disk; another fault says nothing about it. */
export function isDamage(error: unknown): error is CacheError {
  return error instanceof CacheError && error.code === 'damaged';
}

/** The error code of a failed system call (`ENOENT`, …), or undefined when `error` is something else. */
export function systemCode(error: unknown): string | undefined {
  if (error instanceof CacheError || !(error instanceof Error) || !('code' in error)) return undefined;
  if (typeof error.code !== 'string') return undefined;
  // libuv lacks EDQUOT, EUCLEAN, EBADMSG, ESTALE: their code is `Unknown system error -122`.
  const errno = 'errno' in error && error.code.startsWith('Unknown') ? Number(error.errno) : undefined;
  return (errno === undefined ? undefined : nameOf(-errno)) ?? error.code;
}

/** Codes that are missing in Node, with their numbers in Linux (errno.h). */
const LINUX_CODES: Readonly<Record<string, number>> = {
  ...{ ESHUTDOWN: 108, EUCLEAN: 117, EREMOTEIO: 121, ENOMEDIUM: 123, EMEDIUMTYPE: 124, ENOKEY: 126 },
  ...{ EKEYEXPIRED: 127, EKEYREVOKED: 128, EKEYREJECTED: 129, EHWPOISON: 133 },
};

function nameOf(errno: number): string | undefined {
  const isCode = ([, number]: readonly [string, number]) => number === errno;
  return (Object.entries(constants.errno).find(isCode) ?? Object.entries(LINUX_CODES).find(isCode))?.[0];
}

/** Errors of Node's parsers about a text; they are TypeErrors. */
const OF_A_TEXT: ReadonlySet<string | undefined> = new Set([
  'ERR_ENCODING_INVALID_ENCODED_DATA',
  'ERR_INVALID_URL',
  'ERR_MISSING_PASSPHRASE',
]);

/**
 * Throws the error again if it is a programming error, or one of an unsupported Node. Call it before turning any error into
 * a statement about data.
 */
export function throwProgrammingError(error: unknown): void {
  if (isProgrammingError(error)) throw error;
}

export function isProgrammingError(error: unknown): error is Error {
  const isKind = [TypeError, RangeError, ReferenceError].some((kind) => error instanceof kind);
  return isKind && !OF_A_TEXT.has(systemCode(error));
}

/** Whether a name is not UTF-8: Node decodes it so that it can't be used to open the file. */
export function isUndecodable(name: string): boolean {
  return name.includes('\uFFFD');
}

export const UNDECODABLE = 'its name is not UTF-8; rename it';

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `EISDIR: it is a folder`, or the message of another error. @throws the error when it is a programming error */
export function shortReasonOf(error: unknown): string {
  throwProgrammingError(error);
  const code = systemCode(error);
  if (code === 'ENOENT' && error instanceof Error && 'path' in error && isUndecodable(String(error.path)))
    return UNDECODABLE;
  if (code === undefined) return messageOf(error);
  const fault = systemFault(code);
  return fault === undefined ? code : `${code}: ${fault.reason}`;
}
