import type { StoredEntry } from '../cache/directory.ts';
import { madeAt, type UnverifiedEntry } from '../cache/entry.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import { groupOf } from './interchange-group.ts';

/** Positions of copied entries among those of their key in a store. */
export interface Placement {
  /**
   * Received time for an entry: the given time, but after all entries that the same signer made earlier for the same
   * nodes, and before all made later; with the same time, the one signed last comes first. The holder of the source
   * can change its times, but not the signed `creation_date`.
   * @param told undefined: as the newest of all
   */
  receivedTimeFor(entry: UnverifiedEntry, told: Date | undefined): Date | undefined;
  /** Receives each entry added to the key meanwhile. */
  add(entry: StoredEntry): void;
}

/** An entry with a known signer and creation time. */
interface Made {
  readonly at: number;
  /** Milliseconds since 1970. */
  readonly received: number;
}

/** @param there the store's entries of the key */
export function createPlacement(
  there: readonly StoredEntry[],
  trusted: Pick<TrustedCertificates, 'signerOf'>,
): Placement {
  const byGroup = new Map<string, Made[]>();
  const add = (entry: StoredEntry): void => {
    const at = madeAt(entry);
    const group = at === undefined ? undefined : groupOf(entry, trusted);
    if (at === undefined || group === undefined) return;
    const made = byGroup.get(group) ?? [];
    made.push({ at, received: entry.received.getTime() });
    byGroup.set(group, made);
  };
  for (const entry of there) add(entry);
  return {
    add,
    receivedTimeFor(entry, told) {
      const at = madeAt(entry);
      const group = at === undefined ? undefined : groupOf(entry, trusted);
      const others = group === undefined ? undefined : byGroup.get(group);
      if (at === undefined || others === undefined) return told;
      let [earliest, latest] = [-Infinity, Infinity];
      for (const other of others) {
        if (other.at > at) latest = Math.min(latest, other.received);
        else if (other.at < at) earliest = Math.max(earliest, other.received);
      }
      // One millisecond before the later one, if the gap allows it.
      const last = Math.max(latest - 1, Math.min(earliest, latest));
      const place = Math.min(Math.max(told?.getTime() ?? Infinity, earliest), last);
      return place === Infinity ? undefined : new Date(place);
    },
  };
}
