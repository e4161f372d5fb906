import type { Digest } from '../../cache/digest.ts';
import type { StoredEntry } from '../../cache/directory.ts';
import { compatibilityClass, type Platform } from '../../cache/platform.ts';
import { signerNameOf, type SignerName, type TrustedCertificates } from '../../cache/signature.ts';
import type { Store } from '../../cache/store.ts';

/** An entry of a key, as its page shows it. */
export interface ShownEntry {
  readonly entry: StoredEntry;
  /** 1 is the newest. */
  readonly number: number;
  readonly signer: SignerName | undefined;
  /** Bytes of the blob; undefined if it is missing. */
  readonly size: number | undefined;
  /** The number of the entry that nodes of its platform take instead; undefined if they take this one, or none. */
  readonly supersededBy: number | undefined;
}

/** What the nodes of a platform install. */
export interface NodeChoice {
  readonly platform: Platform;
  /** The first entry that nodes trust; undefined if there is none. */
  readonly taken: ShownEntry | undefined;
}

/** Entries of a key to show; a source may have thousands. */
const ENTRIES_SHOWN = 100;

/**
 * The newest entries of a key.
 * @param entries all of the key, newest first
 * @param trusted whose entries nodes install
 */
export async function showEntries(
  entries: readonly StoredEntry[],
  { blobs }: Pick<Store, 'blobs'>,
  trusted: TrustedCertificates,
): Promise<readonly ShownEntry[]> {
  const first = new Map<string, number>();
  const shown: ShownEntry[] = [];
  const sizes = new Map<Digest, number | undefined>();
  for (const [index, entry] of entries.slice(0, ENTRIES_SHOWN).entries()) {
    const { platform, sha512 } = entry;
    const certificate = trusted.signerOf(entry);
    const number = index + 1;
    // Clients of a source may choose any entry.
    const nodes = platform === undefined ? undefined : compatibilityClass(platform);
    const supersededBy = nodes === undefined ? undefined : first.get(nodes);
    if (nodes !== undefined && certificate !== undefined && supersededBy === undefined)
      first.set(nodes, number);
    if (!sizes.has(sha512)) sizes.set(sha512, await blobs.size(sha512));
    shown.push({
      ...{ entry, number, supersededBy, size: sizes.get(sha512) },
      signer: certificate && signerNameOf(certificate),
    });
  }
  return shown;
}

/** A choice for each platform that any of the entries names. */
export function choicesOf(shown: readonly ShownEntry[]): readonly NodeChoice[] {
  const choices = new Map<string, NodeChoice>();
  for (const one of shown) {
    const { platform } = one.entry;
    if (platform === undefined) continue;
    const nodes = compatibilityClass(platform);
    const taken = choices.get(nodes)?.taken;
    if (taken === undefined)
      choices.set(nodes, { platform, taken: one.signer === undefined ? undefined : one });
  }
  return [...choices.values()];
}
