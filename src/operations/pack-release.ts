import { join } from 'node:path';
import type { BlobWriter } from '../cache/blobs.ts';
import { CacheError, isStoreFault } from '../cache/errors.ts';
import { isSameMachine } from '../cache/platform.ts';
import type { OsRelease } from '../cache/system.ts';
import { formatArchiveName, parseArchiveName } from '../release/archive-name.ts';
import { packFolder } from '../release/pack-folder.ts';
import type { ReleaseContents } from '../release/release-contents.ts';
import { readReleaseFolder, type ReleaseFolder } from '../release/release-folder.ts';
import { faultsOfMarkers, type ReleaseMarkers } from '../release/release-markers.ts';
import { nameOfRelease } from '../release/release-name.ts';
import { measureTar, type TarMeasure } from '../release/tar-program.ts';
import { makeDurable } from '../storage/durable-names.ts';
import { chooseArchiveName, holdsBytes } from './choose-archive-name.ts';
import { hashOnly } from './hash-only.ts';
import { createNewArchive, type NewArchive } from './new-archive.ts';
import { addReleaseEntry, type SigningTarget, type StoredRelease } from './release-entry.ts';
import { identifyRelease, type ReleaseIdentity } from './release-identity.ts';

/** A release folder that can be packed. */
export interface PackableFolder extends ReleaseFolder, TarMeasure {
  /** The folder as given. */
  readonly folder: string;
}

export interface PackOptions {
  /** The folder for archives; `prepareFolder` makes it ready. */
  readonly output: string;
  /** Bytes to keep free there. */
  readonly minFreeSpace: number;
  /** Also packs releases that slapgrid would not upload. */
  readonly force: boolean;
  /** The system that it was built for; `multiarch` is set if this machine built it. */
  readonly builtOn: { readonly os: OsRelease; readonly multiarch?: string | undefined };
  /** The machine that it was built for, if stated. */
  readonly multiarch?: string | undefined;
  /** The folder where it was built and must be unpacked, if it was moved since. */
  readonly softwareRoot?: string | undefined;
  /** The store to import into; absent when only packing. */
  readonly target?: SigningTarget | undefined;
  /** Receives the bytes of tar since the last call, out of `PackableFolder.size`. */
  readonly onProgress?: (folder: PackableFolder, bytes: number) => void;
  readonly now?: () => Date;
}

/** Result for one folder. */
export type PackResult = PackedRelease | RefusedFolder;

export interface PackedRelease extends StoredRelease {
  readonly folder: string;
  /** Path of the archive. */
  readonly path: string;
  /** `packed`: without an import. `unchanged`: the same entry exists, or without an import the same archive. */
  readonly outcome: 'imported' | 'packed' | 'unchanged';
  /** Notes for the operator; the folder itself has no fault. */
  readonly warnings: readonly string[];
}

export interface RefusedFolder {
  readonly folder: string;
  readonly outcome: 'refused';
  readonly reason: string;
}

/** Findings about a folder before packing. */
export type ExaminedFolder = PackableFolder | RefusedFolder;

export function isPackable(folder: ExaminedFolder): folder is PackableFolder {
  return 'size' in folder;
}

/** Examines a folder before packing, because its size is needed first. */
export async function examineFolder(
  folder: string,
  { url, force }: { readonly url?: string | undefined; readonly force: boolean },
): Promise<ExaminedFolder> {
  try {
    const release = await readReleaseFolder(folder, url);
    checkMarkers(release.markers, force);
    return { folder, ...release, ...(await measureTar(release.path)) };
  } catch (error) {
    return refusalOf(folder, error);
  }
}

/**
 * Packs folders of a software root one after the other and imports each in the same pass; a fault of one doesn't stop
 * the rest. Results follow the order of the folders, and an already refused folder is its own result.
 * @throws CacheError `storage`, `no-space`: writing failed; folders without a result were not packed
 */
export async function* packReleases(
  folders: readonly ExaminedFolder[],
  options: PackOptions,
): AsyncGenerator<PackResult> {
  for (const folder of folders) yield isPackable(folder) ? await packRelease(folder, options) : folder;
}

async function packRelease(folder: PackableFolder, options: PackOptions): Promise<PackResult> {
  const { output, minFreeSpace, target } = options;
  let archive: NewArchive | undefined;
  let writer: BlobWriter | undefined;
  try {
    archive = await createNewArchive(output, folder.key, minFreeSpace);
    writer = target === undefined ? hashOnly() : await target.store.blobs.create();
    const contents = await writeBoth(folder, [archive, writer], options);
    checkMarkers(contents.markers, options.force);
    const identity = identify(folder, contents, options);
    const file = await chooseArchiveName(output, namesOf(identity), identity.key);
    const path = join(output, file);
    const { digest: sha512, size } = await writer.commit();
    const isThere = await holdsBytes(path, { sha512, size });
    if (isThere) await makeDurable(path);
    else await archive.keep(file);
    const release = { file, ...identity, sha512, size };
    const warnings = warningsOf(folder, contents, release, options);
    const outcome = await outcomeOf(folder, release, isThere, options);
    return { folder: folder.folder, path, ...release, outcome, warnings };
  } catch (error) {
    return refusalOf(folder.folder, error);
  } finally {
    await archive?.abort();
    await writer?.abort();
  }
}

/** Reads, inspects, compresses, hashes and writes the tar to both targets in one pass. */
async function writeBoth(
  folder: PackableFolder,
  writers: readonly Pick<BlobWriter, 'write'>[],
  { onProgress }: PackOptions,
): Promise<ReleaseContents> {
  const packing = packFolder(folder.path, (bytes) => onProgress?.(folder, bytes));
  for await (const piece of packing.archive) {
    await Promise.all(writers.map((writer) => writer.write([piece])));
  }
  return packing.contents();
}

function identify(
  { softwareUrl }: ReleaseFolder,
  contents: ReleaseContents,
  { builtOn, multiarch }: PackOptions,
): ReleaseIdentity {
  const name = nameOfRelease(softwareUrl);
  // gcc of the machine that built it reports the same multiarch as gcc of a node.
  const isBuiltHere =
    builtOn.multiarch !== undefined &&
    (contents.multiarch === undefined || isSameMachine(contents.multiarch, builtOn.multiarch));
  return identifyRelease(
    contents,
    { name, base: name },
    {
      ...{ url: softwareUrl, os: builtOn.os, software: new Map<string, string>() },
      multiarch: multiarch ?? (isBuiltHere ? builtOn.multiarch : undefined),
    },
  );
}

/** A fork's release may have the same name; the second name is unique to this release. */
function namesOf({ softwareUrl, key, platform }: ReleaseIdentity): readonly string[] {
  const name = nameOfRelease(softwareUrl);
  return [name, `${name}-${key.slice(0, 8)}`].map((base) => formatArchiveName(base, platform));
}

async function outcomeOf(
  folder: PackableFolder,
  release: StoredRelease,
  isThere: boolean,
  { target, softwareRoot = folder.softwareRoot, now }: PackOptions,
): Promise<PackedRelease['outcome']> {
  if (target === undefined) return isThere ? 'unchanged' : 'packed';
  const origin = { action: 'pack', source: folder.path, softwareRoot, now } as const;
  const { isNew } = await addReleaseEntry(release, target, origin);
  return isNew ? 'imported' : 'unchanged';
}

function checkMarkers(markers: ReleaseMarkers, force: boolean): void {
  const faults = faultsOfMarkers(markers);
  if (faults.length > 0 && !force)
    throw new CacheError('invalid-archive', `${faults.join('; ')}; pack it all the same with --force`);
}

function warningsOf(
  { key, sockets, linkedSymlink, softwareRoot, isMoved }: PackableFolder,
  { markers, multiarch }: ReleaseContents,
  { file, platform }: StoredRelease,
  { builtOn, softwareRoot: told }: PackOptions,
): readonly string[] {
  const warnings = [...faultsOfMarkers(markers)];
  if (isMoved && told === undefined)
    warnings.push(
      `built in ${softwareRoot} and moved since; nodes will unpack it to ${join(softwareRoot, key)}`,
    );
  if (linkedSymlink !== undefined)
    warnings.push(
      `the symbolic link ${linkedSymlink} has several names, and nodes would change its target; all hard links are packed as separate files`,
    );
  const [socket] = sockets;
  if (socket !== undefined)
    warnings.push(
      `skipped the socket ${socket}${sockets.length > 1 ? ` and ${sockets.length - 1} more` : ''}: only running programs have sockets`,
    );
  if (
    builtOn.multiarch !== undefined &&
    multiarch !== undefined &&
    !isSameMachine(multiarch, builtOn.multiarch)
  )
    warnings.push(
      `its programs are for ${multiarch}, this machine is ${builtOn.multiarch}; if it was not built here, give its system with --os`,
    );
  const nameTells = parseArchiveName(file);
  if (nameTells.os?.join() !== platform.os.join())
    warnings.push(
      `its file name does not contain its whole system (${platform.os.join(' ')}): importing the file elsewhere requires --os`,
    );
  return warnings;
}

/** The refusal of one folder. @throws the error itself if the store or the disk fails */
function refusalOf(folder: string, error: unknown): RefusedFolder {
  if (!(error instanceof CacheError)) throw error;
  if (isStoreFault(error)) throw error;
  return { folder, outcome: 'refused', reason: error.message };
}
