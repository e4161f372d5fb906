import { createBlobs } from '../../cache/blobs.ts';
import { digestOf, type Digest } from '../../cache/digest.ts';
import { ENTRY_SIZE_LIMIT } from '../../cache/entry.ts';
import { CacheError, type ErrorCode } from '../../cache/errors.ts';
import { blobName, entriesPrefix, partName, PARTS } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { SourceEntry } from '../../cache/source.ts';
import type { Store } from '../../cache/store.ts';
import type { FileSystemLimits } from '../../storage/file-system-limits.ts';
import { sizesOfParts, type SplitStorage } from '../../storage/split-storage.ts';
import type { WrittenPart } from '../../storage/split-writer.ts';
import { copyBlob } from '../store-destination.ts';
import type { Destination, KeyTransfer } from '../transfer.ts';
import type { MediumContents } from './compose-manifest.ts';
import type { Inspection, MediumListing } from './inspect-medium.ts';
import { STORE_FOLDER, type MediumFile } from './manifest.ts';
import { checkIsSound, type MediumFault } from './medium-faults.ts';
import { readObject } from './object-digest.ts';
import type { MediumEntry } from './open-medium.ts';
import type { SelectedEntry } from './selection.ts';

/** A blob that an export carries. */
export interface PlannedBlob {
  readonly sha512: Digest;
  /** Bytes. */
  readonly size: number;
  /** Bytes of each part but the last; undefined: not split. */
  readonly partSize: number | undefined;
}

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

/** Names and sizes of the objects of a blob. */
export function objectsOf({
  sha512,
  size,
  partSize,
}: PlannedBlob): readonly { readonly name: string; readonly size: number }[] {
  if (partSize === undefined) return [{ name: blobName(sha512), size }];
  return sizesOfParts(size, partSize).map((one, index) => ({ name: partName(sha512, index + 1), size: one }));
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
    const { size, entry, carry } = one;
    if (carry !== 'all' || size === undefined) continue;
    const { sha512 } = entry;
    const partSize = listing.split.get(sha512)?.partSize ?? partSizeOf(size, limits, split);
    blobs.set(sha512, { sha512, size, partSize });
    if (partSize === undefined || size / partSize < PARTS_LIMIT) continue;
    throw new CacheError(
      'usage',
      `--split: ${size} bytes would become more than ${PARTS_LIMIT} parts; name a larger size`,
    );
  }
  const { sizes: there, differing } = listing;
  const sizeOf = (name: string): number | undefined => (differing.has(name) ? undefined : there.get(name));
  const missingBlobs = [...blobs.values()].filter((blob) => !isThere(blob, listing, sizeOf));
  const sizes = [
    ...missingBlobs.flatMap(objectsOf).filter(({ name, size }) => there.get(name) !== size),
    ...[...entries.keys()].filter((name) => !there.has(name)).map(() => ({ size: ENTRY_SIZE })),
  ].map(({ size }) => size);
  const lines = sizes.length + there.size + entries.size + listing.packages.size;
  const manifestSize = lines * MANIFEST_LINE;
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

/**
 * Whether a medium has a blob, whole or in parts.
 * @param sizeOf bytes of an object; undefined if it is missing or unsound
 */
function isThere(
  { sha512, size }: PlannedBlob,
  { split }: MediumListing,
  sizeOf: (name: string) => number | undefined,
): boolean {
  if (sizeOf(blobName(sha512)) === size) return true;
  const parts = split.get(sha512);
  return parts?.size === size && parts.parts.every((name) => sizeOf(name) !== undefined);
}

/** An export, and the state of its medium. */
export interface MediumWork {
  readonly plan: ExportPlan;
  readonly listing: MediumListing;
  readonly inspection: Inspection;
}

/** @throws CacheError `invalid-medium`: the medium has damage that the export would not replace */
export function checkDamage(
  folder: string,
  { plan, listing, inspection: { sound, faults } }: MediumWork,
): void {
  const sizeOf = (name: string): number | undefined => sound.get(name)?.size;
  const replaced = new Set([...plan.entries.keys()].filter((name) => !sound.has(name)));
  for (const blob of plan.blobs.values())
    if (!isThere(blob, listing, sizeOf)) for (const { name } of objectsOf(blob)) replaced.add(name);
  const damages: MediumFault[] = [];
  for (const [name, what] of faults)
    if (!replaced.has(name)) damages.push({ path: `${STORE_FOLDER}/${name}`, what });
  for (const name of listing.sizes.keys()) {
    if (!name.startsWith(PARTS) || listing.covered.has(name) || replaced.has(name)) continue;
    damages.push({
      path: `${STORE_FOLDER}/${name}`,
      what: 'left by an export that did not finish, of another release or with another --split',
    });
  }
  checkIsSound(folder, damages);
}

/** Contents of a medium after an export. */
export interface ExportedContents extends MediumContents {
  /** Names of the objects that were written, or that an interrupted export had already written. */
  readonly written: readonly string[];
  /** Bytes of the newly written objects. */
  readonly bytes: number;
}

/** A medium as a destination of a transfer from `store`. It keeps what is sound and replaces the rest. */
export interface MediumDestination extends Destination {
  contents(): ExportedContents;
}

/** @param storage of the medium @param folder of the medium, for the log */
export function createMediumDestination(
  storage: SplitStorage,
  folder: string,
  store: Store,
  { plan, listing, inspection: { sound, entries: there } }: MediumWork,
): MediumDestination {
  const files = new Map<string, MediumFile>(sound);
  const entries = new Map<string, MediumEntry>(there);
  const written: string[] = [];
  const copied = new Set<Digest>();
  const damaged = new Map<Digest, CacheError>();
  let bytes = 0;

  const addFile = (name: string, file: MediumFile, isNew = true): void => {
    files.set(name, file);
    written.push(name);
    if (isNew) bytes += file.size;
  };

  const writeBlob = async (
    entry: SourceEntry,
    { sha512, size, partSize }: PlannedBlob,
    { source, onProgress }: KeyTransfer,
  ): Promise<void> => {
    if (partSize === undefined) {
      await copyBlob(entry, source, { blobs: createBlobs(storage) }, onProgress);
      addFile(blobName(sha512), { size, sha512 });
      return;
    }
    const name = blobName(sha512);
    const parts: WrittenPart[] = [];
    const create: SplitStorage['create'] = () =>
      storage.resume(name, size, partSize, (part) => parts.push(part));
    try {
      await copyBlob(entry, source, { blobs: createBlobs({ ...storage, create }) }, onProgress);
    } catch (error) {
      // Parts of a damaged blob are useless.
      if (isOfStore(error)) await storage.remove(name);
      throw error;
    }
    for (const { name: part, isNew, ...file } of parts) addFile(part, file, isNew);
  };

  return {
    contents: () => ({ files, entries, written, bytes }),
    open(key, transfer) {
      return Promise.resolve({
        has: ({ digest }) => entries.has(entriesPrefix(key) + digest),
        overtakes: () => false,
        hasBlob: ({ sha512 }) => {
          const blob = plan.blobs.get(sha512);
          return Promise.resolve(
            blob === undefined ||
              copied.has(sha512) ||
              isThere(blob, listing, (name) => sound.get(name)?.size),
          );
        },
        async copyBlob(entry) {
          const { sha512 } = entry;
          const blob = plan.blobs.get(sha512);
          const known = damaged.get(sha512);
          if (known !== undefined) throw known;
          try {
            if (blob !== undefined) await writeBlob(entry, blob, transfer);
            copied.add(sha512);
          } catch (error) {
            if (!isOfStore(error)) throw error;
            const message = `blob ${sha512} of the store is damaged: ${error.message}; see: cache verify --deep`;
            const fault = new CacheError(error.code, message, { cause: error });
            damaged.set(sha512, fault);
            throw fault;
          }
        },
        async add({ digest }) {
          const name = entriesPrefix(key) + digest;
          const entry = plan.entries.get(name);
          if (entries.has(name) || entry === undefined) return false;
          // The same object, with the time when the entry was received.
          const object = await readObject(store.storage, name, ENTRY_SIZE_LIMIT + 1024);
          if (object === undefined) throw new CacheError('not-found', 'it is gone from the store');
          addFile(name, await writeText(storage, name, object.text));
          entries.set(name, entry);
          return true;
        },
        hasNow: () => undefined,
        record: ({ digest, sha512, softwareUrl }) => {
          const size = plan.entries.get(entriesPrefix(key) + digest)?.size;
          return store.log.record({
            ...{ action: 'export', key, entry: digest, sha512, softwareUrl, size, target: folder },
          });
        },
      });
    },
  };
}

/** Errors that one blob of the exporting store can cause; they don't stop the others. */
const OF_THE_STORE: ReadonlySet<ErrorCode> = new Set(['digest-mismatch', 'incomplete', 'blob-missing']);

function isOfStore(error: unknown): error is CacheError {
  return error instanceof CacheError && OF_THE_STORE.has(error.code);
}

async function writeText(storage: ObjectStorage, name: string, text: string): Promise<MediumFile> {
  const bytes = Buffer.from(text);
  const writer = await storage.create(bytes.length);
  try {
    await writer.write([bytes]);
    await writer.commit(name);
  } finally {
    await writer.abort();
  }
  return { size: bytes.length, sha512: digestOf(bytes) };
}
