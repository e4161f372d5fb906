import { CacheError, type ErrorCode } from '../cache/errors.ts';

/** The exit codes of all commands. */
export const EXIT = {
  done: 0,
  /** Done in part, or not found. */
  incomplete: 1,
  /** Wrong usage or configuration. */
  usage: 2,
  /** The store or a needed cache failed, so the result is unknown. */
  storage: 3,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The only mapping of errors to exit codes. */
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

/** Sets the exit code, unless a worse one is set already. */
export function endWith(code: ExitCode): void {
  process.exitCode = Math.max(code, Number(process.exitCode ?? EXIT.done));
}
