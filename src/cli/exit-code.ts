import { CacheError, type ErrorCode } from '../cache/errors.ts';

/** What every command ends with. */
export const EXIT = {
  done: 0,
  /** Done in part, or what was asked for is not there. */
  incomplete: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** The store failed, or another cache that is needed: nothing is known of what was asked for. */
  storage: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The one place where an error becomes an exit code. */
const EXIT_CODES: Readonly<Record<ErrorCode, ExitCode>> = {
  usage: EXIT.usage,
  config: EXIT.usage,
  'invalid-digest': EXIT.usage,
  'invalid-key': EXIT.usage,
  'invalid-entry': EXIT.incomplete,
  'invalid-archive': EXIT.incomplete,
  'invalid-medium': EXIT.incomplete,
  'unsupported-archive': EXIT.incomplete,
  'digest-mismatch': EXIT.incomplete,
  incomplete: EXIT.incomplete,
  'too-large': EXIT.incomplete,
  'not-found': EXIT.incomplete,
  untrusted: EXIT.incomplete,
  'key-mismatch': EXIT.incomplete,
  'blob-missing': EXIT.incomplete,
  unauthorized: EXIT.incomplete,
  forbidden: EXIT.incomplete,
  'too-many': EXIT.incomplete,
  unavailable: EXIT.storage,
  'no-space': EXIT.storage,
  damaged: EXIT.storage,
  storage: EXIT.storage,
};

export function exitCodeOf(error: unknown): ExitCode {
  return error instanceof CacheError ? EXIT_CODES[error.code] : EXIT.storage;
}

/** Lets the process end with `code`, unless something worse was noted before. */
export function endWith(code: ExitCode): void {
  process.exitCode = Math.max(code, Number(process.exitCode ?? EXIT.done));
}
