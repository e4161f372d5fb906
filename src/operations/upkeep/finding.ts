import type { Digest } from '../../cache/digest.ts';
import { CacheError, isUndecodable, systemCode, isDamage } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { systemFault } from '../../cache/system-fault.ts';

/** One fault of a store. */
export interface Finding {
  readonly kind: FindingKind;
  /** Path relative to the store; for a missing blob, its expected path. */
  readonly path: string;
  /** The fault, for a person. */
  readonly problem: string;
  readonly key?: Key;
  /** Digest of the entry. */
  readonly entry?: Digest;
  /** Digest of the bad blob, or of the blob that the entry names. */
  readonly sha512?: Digest;
  /** Software URL according to the entry. */
  readonly softwareUrl?: string | undefined;
}

export type FindingKind =
  /** `store.json` doesn't state the format. */
  | 'mark-damaged'
  /** An object that doesn't belong in a store: a wrong name, a link. */
  | 'stray'
  /** A file that a killed writer left; the next writer removes it. */
  | 'leftover'
  | 'entry-damaged'
  /** Undamaged, but no trusted certificate verifies it: nodes skip it. */
  | 'entry-untrusted'
  | 'blob-damaged'
  /** An entry names a missing blob. */
  | 'blob-missing'
  /** The disk fails to read it. */
  | 'unreadable'
  /** The caller may not read it. */
  | 'forbidden'
  /** The owner of the store, such as a server, may not use it. */
  | 'owner-forbidden'
  /** A log record that differs from the written one. */
  | 'record-damaged';

/** A finding for an object that doesn't belong in a store. */
export function strayAt(path: string, problem: string): Finding {
  return { kind: 'stray', path, problem: isUndecodable(path) ? `${problem}; it is not UTF-8` : problem };
}

const DENIED: ReadonlySet<string> = new Set(['EACCES', 'EPERM']);

/**
 * A disk fault at a single place, as a finding.
 * @throws the error itself if it concerns the whole store or machine
 */
export function diskFinding(
  error: unknown,
  where: Omit<Finding, 'kind' | 'problem'>,
): Finding & { readonly kind: 'unreadable' | 'forbidden' } {
  if (isDamage(error)) return { ...where, kind: 'unreadable', problem: error.message };
  const code = error instanceof CacheError ? systemCode(error.cause) : undefined;
  // The message of the error has the path, and the advice that the report gives once.
  if (code !== undefined && DENIED.has(code))
    return { ...where, kind: 'forbidden', problem: `${systemFault(code)?.reason} (${code})` };
  throw error;
}
