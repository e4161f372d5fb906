import { parseStoredEntry } from '../../cache/directory.ts';
import { ENTRY_SIZE_LIMIT } from '../../cache/entry.ts';
import { CacheError } from '../../cache/errors.ts';
import { BLOBS, blobName, DIRECTORY, parseEntryName, PARTS } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { MediumFile } from './manifest.ts';
import { readObject } from './object-digest.ts';
import type { MediumEntry } from './open-medium.ts';
import { readBack } from './read-back.ts';
import type { MediumListing } from './medium-listing.ts';

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

/** Reads the files on a medium that no manifest covers, except parts: `writeBlob` compares those. */
export async function inspectMedium(listing: MediumListing, options: InspectOptions): Promise<Inspection> {
  const sound = new Map<string, MediumFile>();
  const faults = new Map(listing.differing);
  for (const [name, file] of listing.covered) if (!name.startsWith(DIRECTORY)) sound.set(name, file);
  let fromMemory = false;
  const names = namesToRead(listing, options.recheck);
  for await (const { name, found, fault, fromDisk } of readBack(
    options.folder,
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
    if (!(error instanceof CacheError)) throw error;
    return error.message;
  }
}
