import type { Digest } from '../../cache/digest.ts';
import { CacheError } from '../../cache/errors.ts';
import { blobName, entriesPrefix } from '../../cache/layout.ts';
import type { FileSystemLimits } from '../../storage/file-system-limits.ts';
import type { SelectedEntry } from './selection.ts';
import type { MediumListing } from './medium-listing.ts';
import { objectsOf, type PlannedBlob } from './write-objects.ts';

/** The work of an export, judged by the names and sizes on the medium. */
export interface ExportPlan {
  /** All blobs to carry. */
  readonly blobs: ReadonlyMap<Digest, PlannedBlob>;
  /** Blobs that the medium lacks. */
  readonly missingBlobs: readonly PlannedBlob[];
  /** Entries to carry, by object name. */
  readonly entries: ReadonlyMap<string, SelectedEntry>;
  /** Bytes to write. */
  readonly bytes: number;
  /** Bytes that they occupy on the disk. */
  readonly room: number;
}

/** Object name of an entry on a medium, as in any store. */
export function entryName({ key, entry }: Pick<SelectedEntry, 'key' | 'entry'>): string {
  return entriesPrefix(key) + entry.digest;
}

/** More parts indicate a mistyped size. */
const PARTS_LIMIT = 9999;
/** Approximate stored size of an entry, in bytes. */
const ENTRY_SIZE = 2048;
/** Approximate size of a file's line in a manifest, in bytes. */
const MANIFEST_LINE = 400;

/**
 * @param split bytes of a part, if the operator sets it
 * @throws CacheError `usage`: too many parts
 */
export function planExport(
  selected: readonly SelectedEntry[],
  listing: MediumListing,
  limits: FileSystemLimits,
  split: number | undefined,
): ExportPlan {
  const blobs = new Map<Digest, PlannedBlob>();
  const entries = new Map<string, SelectedEntry>();
  for (const one of selected) {
    if (one.carry === 'nothing') continue;
    entries.set(entryName(one), one);
    const { sha512 } = one.entry;
    if (one.carry === 'all' && one.size !== undefined)
      blobs.set(sha512, {
        sha512,
        size: one.size,
        partSize: listing.partSizes.get(sha512) ?? partSizeOf(one.size, limits, split),
      });
  }
  for (const blob of blobs.values()) {
    if (objectsOf(blob).length <= PARTS_LIMIT) continue;
    throw new CacheError(
      'usage',
      `--split: ${blob.size} bytes would become more than ${PARTS_LIMIT} parts; name a larger size`,
    );
  }
  const missingBlobs = [...blobs.values()].filter((blob) => !seemsThere(blob, listing));
  const sizes = [
    ...missingBlobs.flatMap((blob) =>
      objectsOf(blob).filter(({ name, size }) => listing.sizes.get(name) !== size),
    ),
    ...[...entries.keys()].filter((name) => !listing.sizes.has(name)).map(() => ({ size: ENTRY_SIZE })),
  ].map(({ size }) => size);
  const manifestSize = (sizes.length + listing.sizes.size + entries.size) * MANIFEST_LINE;
  return {
    ...{ blobs, missingBlobs, entries },
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    // Each entry also needs a folder.
    room:
      sizes.reduce((sum, size) => sum + roundUp(size, limits.blockSize), 0) +
      entries.size * limits.blockSize +
      roundUp(manifestSize, limits.blockSize),
  };
}

/** Whether a blob is on the medium, judged by names and sizes. */
function seemsThere({ sha512, size }: PlannedBlob, { sizes, split }: MediumListing): boolean {
  return sizes.get(blobName(sha512)) === size || split.get(sha512)?.size === size;
}

/** @returns undefined if the blob stays whole */
function partSizeOf(
  size: number,
  { split: limits }: FileSystemLimits,
  wished: number = Infinity,
): number | undefined {
  if (size <= Math.min(wished, limits?.largestFile ?? Infinity)) return undefined;
  return Math.min(wished, limits?.partSize ?? Infinity);
}

function roundUp(size: number, blockSize: number): number {
  return Math.ceil(size / blockSize) * blockSize;
}
