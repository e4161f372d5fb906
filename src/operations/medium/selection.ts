import type { Blobs } from '../../cache/blobs.ts';
import type { Digest } from '../../cache/digest.ts';
import { noneIfDamaged, type Directory, type StoredEntry } from '../../cache/directory.ts';
import type { Key } from '../../cache/key.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Inventory } from './inventory.ts';

/** An entry of the exporting store. */
export interface SelectedEntry {
  readonly key: Key;
  readonly entry: StoredEntry;
  /** Bytes of its blob. */
  readonly size: number | undefined;
  /**
   * `entry`: the receiving site already has the blob. `nothing`: it also has the entry, or the entry can't be
   * exported.
   */
  readonly carry: 'all' | 'entry' | 'nothing';
  /** Reason why it can't be exported. */
  readonly fault?: string;
}

export interface SelectionOptions {
  readonly blobs: Blobs;
  readonly directory: Directory;
  readonly trusted: TrustedCertificates;
  /** Signers of media, including the site itself. */
  readonly mediumSigners: TrustedCertificates;
  /** Default: all keys. */
  readonly keys?: readonly Key[] | undefined;
  /** What the receiving site already has. */
  readonly inventory?: Inventory | undefined;
}

/** The selected entries, and what to carry of each. Skips damaged entries, which the directory reports. */
export async function selectEntries(options: SelectionOptions): Promise<readonly SelectedEntry[]> {
  const selected: SelectedEntry[] = [];
  for (const key of options.keys ?? (await allKeys(options.directory))) {
    const entries = await options.directory.entries(key).catch(noneIfDamaged);
    for (const entry of entries) {
      const size = await options.blobs.size(entry.sha512);
      const verdict = verdictOn(key, entry, size, options);
      const isOfNoUse =
        verdict.carry === 'entry' &&
        entries.some(
          (other) => options.inventory?.hasEntry(key, other.digest) && standsFor(other, entry, options),
        );
      selected.push({ key, entry, size, ...verdict, ...(isOfNoUse ? { carry: 'nothing' } : {}) });
    }
  }
  return selected;
}

/**
 * Whether an entry replaces another of the same build, so that a site which has it needs no older signature: the
 * upstream's signature may be untrusted there. A newly signed entry takes the position of the fetched one.
 */
function standsFor(
  entry: StoredEntry,
  other: StoredEntry,
  { mediumSigners }: Pick<SelectionOptions, 'mediumSigners'>,
): boolean {
  const buildOf = ({ sha512, platform }: StoredEntry): string => JSON.stringify([sha512, platform]);
  if (buildOf(entry) !== buildOf(other)) return false;
  const later = entry.received.getTime() - other.received.getTime();
  return later > 0 || (later === 0 && mediumSigners.signerOf(other) === undefined);
}

async function allKeys(directory: Directory): Promise<readonly Key[]> {
  const keys = new Set<Key>();
  for await (const { key } of directory.list()) keys.add(key);
  return [...keys].sort();
}

function verdictOn(
  key: Key,
  entry: StoredEntry,
  size: number | undefined,
  { trusted, inventory }: SelectionOptions,
): Pick<SelectedEntry, 'carry' | 'fault'> {
  if (trusted.signerOf(entry) === undefined)
    return { carry: 'nothing', fault: 'no certificate that is trusted here verifies its signature' };
  if (size === undefined)
    return {
      carry: 'nothing',
      fault: `the store has no blob ${entry.sha512}, or it is damaged; see: cache verify`,
    };
  if (!isThere(entry.sha512, size, inventory)) return { carry: 'all' };
  return { carry: inventory?.hasEntry(key, entry.digest) ? 'nothing' : 'entry' };
}

function isThere(sha512: Digest, size: number, inventory: Inventory | undefined): boolean {
  return inventory?.blobSize(sha512) === size;
}
