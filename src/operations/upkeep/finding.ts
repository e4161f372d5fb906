import type { Digest } from '../../cache/digest.ts';
import { CacheError, isUndecodable, systemCode, isDamage } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';

/** One thing that is wrong with a store. */
export interface Finding {
  readonly kind: FindingKind;
  /** Where it is, relative to the store; for a missing blob, where it would be. */
  readonly path: string;
  /** What is wrong, for a person. */
  readonly problem: string;
  readonly key?: Key;
  /** The entry. */
  readonly entry?: Digest;
  /** The blob that is wrong, or that the entry names. */
  readonly sha512?: Digest;
  /** As the entry tells it. */
  readonly softwareUrl?: string | undefined;
}

export type FindingKind =
  /** `store.json` doesn't tell the format. */
  | 'mark-damaged'
  /** Something that has no business in a store: a wrong name, a link. */
  | 'stray'
  /** What a killed writer left; whoever next writes to the store removes it. */
  | 'leftover'
  | 'entry-damaged'
  /** Whole, but no trusted certificate verifies it: nodes pass over it. */
  | 'entry-untrusted'
  | 'blob-damaged'
  /** An entry names a blob that isn't there. */
  | 'blob-missing'
  /** The disk can't read it any more. */
  | 'unreadable'
  /** Whoever asks may not read it. */
  | 'forbidden'
  /** Whoever the store belongs to, such as a server, may not use it. */
  | 'owner-forbidden'
  /** A record of the log that is not what was written. */
  | 'record-damaged';

/** Something that has no business in a store. */
export function strayAt(path: string, problem: string): Finding {
  return { kind: 'stray', path, problem: isUndecodable(path) ? `${problem}; it is not UTF-8` : problem };
}

const DENIED: ReadonlySet<string | undefined> = new Set(['EACCES', 'EPERM']);

/**
 * A fault of the disk that concerns one place only, as a finding.
 * @throws the error itself, when it concerns the whole store or the whole machine
 */
export function diskFinding(
  error: unknown,
  where: Omit<Finding, 'kind' | 'problem'>,
): Finding & { readonly kind: 'unreadable' | 'forbidden' } {
  if (isDamage(error)) return { ...where, kind: 'unreadable', problem: error.message };
  if (error instanceof CacheError && DENIED.has(systemCode(error.cause)))
    return { ...where, kind: 'forbidden', problem: error.message };
  throw error;
}
