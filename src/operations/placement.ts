import type { StoredEntry } from '../cache/directory.ts';
import { madeAt, type UnverifiedEntry } from '../cache/entry.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import { useOf } from './entry-use.ts';

/** The place of each entry that is copied to a store, among those of its key. */
export interface Placement {
  /**
   * When an entry is to count as received: as told, but never so that it stands before one that its own signer made later
   * for the same nodes, or behind one made earlier. Whoever had a source in hand may have written its times; the signed
   * `creation_date` he can't write. Entries of one time stand in the order in which they were made.
   * @param told undefined: as the newest of all
   */
  placeOf(entry: UnverifiedEntry, told: Date | undefined): Date | undefined;
  /** To be told of each entry that was added to the key meanwhile. */
  add(entry: StoredEntry): void;
}

/** An entry whose signer and time of making are known. */
interface Made {
  readonly at: number;
  /** Milliseconds since 1970. */
  readonly received: number;
}

/** @param there what the store has of the key */
export function createPlacement(
  there: readonly StoredEntry[],
  trusted: Pick<TrustedCertificates, 'signerOf'>,
): Placement {
  const byUse = new Map<string, Made[]>();
  const add = (entry: StoredEntry): void => {
    const at = madeAt(entry);
    const use = at === undefined ? undefined : useOf(entry, trusted);
    if (at === undefined || use === undefined) return;
    const made = byUse.get(use) ?? [];
    made.push({ at, received: entry.received.getTime() });
    byUse.set(use, made);
  };
  for (const entry of there) add(entry);
  return {
    add,
    placeOf(entry, told) {
      const at = madeAt(entry);
      const use = at === undefined ? undefined : useOf(entry, trusted);
      const others = use === undefined ? undefined : byUse.get(use);
      if (at === undefined || others === undefined) return told;
      let [earliest, latest] = [-Infinity, Infinity];
      for (const other of others) {
        if (other.at > at) latest = Math.min(latest, other.received);
        else if (other.at < at) earliest = Math.max(earliest, other.received);
      }
      // A millisecond before the later one, unless there is no room between the two.
      const last = Math.max(latest - 1, Math.min(earliest, latest));
      const place = Math.min(Math.max(told?.getTime() ?? Infinity, earliest), last);
      return place === Infinity ? undefined : new Date(place);
    },
  };
}
