import { join } from 'node:path';
import { parseStoredEntry } from '../../cache/directory.ts';
import type { Digest } from '../../cache/digest.ts';
import { ENTRY_SIZE_LIMIT } from '../../cache/entry.ts';
import {
  CacheError,
  isUndecodable,
  NewerFormat,
  throwUnlessOfData,
  UNDECODABLE,
} from '../../cache/errors.ts';
import { BLOBS, blobName, DIRECTORY, parseEntryName, PARTS } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import {
  filesOf,
  isPackageName,
  nameInStore,
  readManifest,
  STORE_FOLDER,
  type MediumFile,
  type SignedManifest,
} from './manifest.ts';
import type { MediumFault } from './medium-faults.ts';
import { readObject } from './object-digest.ts';
import type { MediumEntry } from './open-medium.ts';
import { readBack } from './read-back.ts';
import { differencesOf, listPackages, listStoreFiles } from './medium-files.ts';

/** Files of a medium before an export, found without reading them. */
export interface MediumListing {
  /** Bytes of each object. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Objects as long as the earlier manifest says, with its data. */
  readonly covered: ReadonlyMap<string, MediumFile>;
  /** Blobs that an earlier export split. */
  readonly split: ReadonlyMap<Digest, SplitBlob>;
  /** Objects of an earlier export that are missing or have another size; by name. */
  readonly differing: ReadonlyMap<string, string>;
  /** Bytes of each file of `packages/` and of the program, by path on the medium. */
  readonly packages: ReadonlyMap<string, number>;
  /** Files that don't belong on a medium. */
  readonly strays: readonly MediumFault[];
  /** undefined if there is no valid one. */
  readonly manifest: SignedManifest | undefined;
  /** Reason why the existing manifest is invalid. */
  readonly manifestFault: string | undefined;
}

/** A blob in parts, according to the earlier manifest. */
export interface SplitBlob {
  /** Bytes. */
  readonly size: number;
  /** Names of the parts, in order. */
  readonly parts: readonly string[];
  /** Bytes of the first part; repairs keep this size. */
  readonly partSize: number;
}

/** @throws CacheError `storage` */
export async function listMedium(folder: string, signers: TrustedCertificates): Promise<MediumListing> {
  const { sizes, strays } = await listStoreFiles(folder);
  const packages = await listPackages(folder);
  const { manifest, manifestFault } = await readIfValid(folder, signers);
  const files = manifest === undefined ? new Map<string, MediumFile>() : filesOf(manifest.manifest);
  const differing = differencesOf(files, sizes);
  const covered = new Map([...files].filter(([name]) => !differing.has(name)));
  const split = new Map<Digest, SplitBlob>();
  for (const { sha512, size, parts: paths } of manifest?.manifest.split ?? []) {
    const parts = paths.map(nameInStore);
    split.set(sha512, { size, parts, partSize: files.get(parts[0] ?? '')?.size ?? size });
  }
  return {
    ...{ sizes, covered, split, differing, manifest, manifestFault },
    packages: packages.sizes,
    strays: [
      ...strays.map((name) => ({
        path: `${STORE_FOLDER}/${name}`,
        what: `does not belong into a store; move it elsewhere${isUndecodable(name) ? `; ${UNDECODABLE}` : ''}`,
      })),
      ...packages.strays.map((path) => ({ path, what: packageFault(path) })),
    ],
  };
}

function packageFault(name: string): string {
  if (isUndecodable(name)) return UNDECODABLE;
  return isPackageName(name)
    ? 'is no file; a medium carries files only'
    : 'its name has a control character or a backslash; rename it';
}

/** An untrusted or damaged manifest covers nothing, so everything is read instead. */
async function readIfValid(
  folder: string,
  signers: TrustedCertificates,
): Promise<Pick<MediumListing, 'manifest' | 'manifestFault'>> {
  try {
    return { manifest: await readManifest(folder, signers), manifestFault: undefined };
  } catch (error) {
    if (!(error instanceof CacheError) || error instanceof NewerFormat || error.code === 'storage')
      throw error;
    return { manifest: undefined, manifestFault: error.message.split('\n')[0] };
  }
}

export interface InspectOptions {
  readonly folder: string;
  readonly storage: ObjectStorage;
  readonly trusted: TrustedCertificates;
  /** Also rereads files of earlier exports. */
  readonly recheck: boolean;
  readonly onProgress: (label: string, bytes: number) => void;
}

/** Contents of a medium before an export, verified by reading. */
export interface Inspection {
  /** Sound files. */
  readonly sound: ReadonlyMap<string, MediumFile>;
  /** Sound entries, by object name. */
  readonly entries: ReadonlyMap<string, MediumEntry>;
  /** Faults of other files; by name. */
  readonly faults: ReadonlyMap<string, string>;
  /** Whether any file was read from memory instead of the disk. */
  readonly fromMemory: boolean;
}

/** Names of the objects to read in full; for a blob that an earlier export wrote and verified, its size is enough. */
export function namesToRead({ sizes, covered }: MediumListing, recheck: boolean): readonly string[] {
  return [...sizes.keys()].filter(
    (name) =>
      !name.startsWith(DIRECTORY) &&
      (recheck || !covered.has(name)) &&
      // Parts of an interrupted export are compared when their blob is written.
      (covered.has(name) || !name.startsWith(PARTS)),
  );
}

/** Reads the files on a medium that no manifest covers, except parts: `SplitStorage.resume` compares those. */
export async function inspectMedium(listing: MediumListing, options: InspectOptions): Promise<Inspection> {
  const sound = new Map<string, MediumFile>();
  const faults = new Map(listing.differing);
  for (const [name, file] of listing.covered) if (!name.startsWith(DIRECTORY)) sound.set(name, file);
  let fromMemory = false;
  const names = namesToRead(listing, options.recheck);
  for await (const { name, found, fault, fromDisk } of readBack(
    join(options.folder, STORE_FOLDER),
    options.storage,
    names,
    options.onProgress,
  )) {
    if (!fromDisk) fromMemory = true;
    const wrong = fault ?? faultOf(name, found, listing.covered.get(name));
    if (wrong === undefined && found !== undefined) sound.set(name, found);
    else {
      sound.delete(name);
      faults.set(name, wrong ?? 'missing');
    }
  }
  const entries = new Map<string, MediumEntry>();
  for (const name of listing.sizes.keys()) {
    if (!name.startsWith(DIRECTORY)) continue;
    const read = await readEntry(name, listing.covered.get(name), options);
    if (typeof read === 'string') faults.set(name, read);
    else {
      entries.set(name, read.entry);
      sound.set(name, read.file);
    }
  }
  return { sound, entries, faults, fromMemory };
}

function faultOf(
  name: string,
  found: MediumFile | undefined,
  said: MediumFile | undefined,
): string | undefined {
  const isBlob = name.startsWith(BLOBS);
  const isRight = isBlob
    ? name === (found && blobName(found.sha512))
    : said === undefined || said.sha512 === found?.sha512;
  return isRight ? undefined : 'its bytes are not those that were written';
}

async function readEntry(
  name: string,
  said: MediumFile | undefined,
  { storage, trusted }: InspectOptions,
): Promise<{ readonly entry: MediumEntry; readonly file: MediumFile } | string> {
  const parsed = parseEntryName(name);
  if (parsed === undefined) return 'no entry';
  try {
    const object = await readObject(storage, name, ENTRY_SIZE_LIMIT + 1024);
    if (object === undefined) return 'larger than any entry';
    const { text, ...file } = object;
    if (said !== undefined && said.sha512 !== file.sha512) return 'its bytes are not those that were written';
    const entry = parseStoredEntry(text, parsed.key, parsed.digest, name);
    if (trusted.signerOf(entry) === undefined)
      return 'no certificate that is trusted here verifies it; move it elsewhere';
    return { entry: { key: parsed.key, entry }, file };
  } catch (error) {
    throwUnlessOfData(error);
    return error.message;
  }
}
