import type { StoredEntry } from '../../cache/directory.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import { groupOf } from '../interchange-group.ts';

export interface SupersededOptions {
  /** Number of entries to keep per group of interchangeable ones. */
  readonly keep: number;
  /** Certificates that identify signers; entries of unknown signers are kept. */
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether the entry's blob exists, judged without reading it. */
  readonly hasBlob: (entry: StoredEntry) => Promise<boolean>;
}

/**
 * The entries that no node takes any more, whichever signers it trusts and wherever it runs and unpacks, because
 * newer ones with existing blobs replace them. An entry of unknown signer or platform is never superseded.
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
