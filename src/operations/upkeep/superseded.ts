import type { StoredEntry } from '../../cache/directory.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import { groupOf } from '../interchange-group.ts';

export interface SupersededOptions {
  /** How many are kept of what one node could install. */
  readonly keep: number;
  /** Those whose signers can be told apart; entries of others are kept. */
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether what the entry names is there, as far as that shows without reading it. */
  readonly hasBlob: (entry: StoredEntry) => Promise<boolean>;
}

/**
 * The entries that no node takes any more, whomever of the signers it trusts, wherever it runs and unpacks: there are
 * newer ones in their stead, and their blobs are there. An entry that isn't understood that far is superseded by none.
 * @param entries of one key, newest first
 */
export async function supersededOf(
  entries: readonly StoredEntry[],
  { keep, trusted, hasBlob }: SupersededOptions,
): Promise<readonly StoredEntry[]> {
  const kept = new Map<string, number>();
  const superseded: StoredEntry[] = [];
  for (const entry of entries) {
    const use = groupOf(entry, trusted);
    if (use === undefined) continue;
    const count = kept.get(use) ?? 0;
    if (count >= keep) superseded.push(entry);
    else if (await hasBlob(entry)) kept.set(use, count + 1);
  }
  return superseded;
}
