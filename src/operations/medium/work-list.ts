import { blobName, PARTS } from '../../cache/layout.ts';
import { checkIsSound, type MediumFault } from './medium-faults.ts';
import type { ExportPlan } from './export-plan.ts';
import type { Inspection } from './inspect-medium.ts';
import { STORE_FOLDER } from './manifest.ts';
import type { SelectedEntry } from './selection.ts';
import type { MediumListing } from './medium-listing.ts';
import { objectsOf, type PlannedBlob } from './write-objects.ts';

/** Objects to write. */
export interface WorkList {
  readonly blobs: readonly PlannedBlob[];
  /** Entries to write, by object name. */
  readonly entries: ReadonlyMap<string, SelectedEntry>;
  /** Carried entries already on the medium. */
  readonly present: ReadonlyMap<string, SelectedEntry>;
}

/**
 * Lists the objects to write once the sound ones are known: missing ones, and damaged ones that the store can
 * replace.
 * @throws CacheError `invalid-medium`: something else is damaged
 */
export function workListFor(
  folder: string,
  plan: ExportPlan,
  listing: MediumListing,
  { sound, faults }: Inspection,
): WorkList {
  const blobs = [...plan.blobs.values()].filter((blob) => !isSound(blob, listing, sound));
  const entries = new Map([...plan.entries].filter(([name]) => !sound.has(name)));
  const present = new Map([...plan.entries].filter(([name]) => sound.has(name)));
  const replaced = new Set([
    ...entries.keys(),
    ...blobs.flatMap((blob) => objectsOf(blob).map(({ name }) => name)),
  ]);
  const damages: MediumFault[] = [];
  for (const [name, what] of faults) {
    if (!replaced.has(name)) damages.push({ path: `${STORE_FOLDER}/${name}`, what });
  }
  for (const name of listing.sizes.keys()) {
    if (!name.startsWith(PARTS) || listing.covered.has(name) || replaced.has(name)) continue;
    damages.push({
      path: `${STORE_FOLDER}/${name}`,
      what: 'left by an export that did not finish, of another release or with another --split',
    });
  }
  checkIsSound(folder, damages);
  return { blobs, entries, present };
}

function isSound(
  { sha512, size }: PlannedBlob,
  { split }: MediumListing,
  sound: Inspection['sound'],
): boolean {
  if (sound.get(blobName(sha512))?.size === size) return true;
  const parts = split.get(sha512);
  return parts?.size === size && parts.parts.every((name) => sound.has(name));
}
