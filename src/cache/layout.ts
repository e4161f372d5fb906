import { isDigest, parseDigest, type Digest } from './digest.ts';
import { folderNameOf, parseKey, type Key } from './key.ts';
import { throwProgrammingError } from './errors.ts';

/** The name of a blob's object. */
export function blobName(digest: Digest): string {
  return `${BLOBS}${digest}`;
}

/** The prefix of the names of a key's entries; ends in `/`. */
export function entriesPrefix(key: Key): string {
  return `${DIRECTORY}${folderNameOf(key)}/`;
}

/** The name of the record of an imported archive. @param fingerprint of the archive and of the import's metadata */
export function importRecordName(fingerprint: Digest): string {
  return `${IMPORTS}${fingerprint}`;
}

/**
 * The name of a log record; sorted names are in order of time.
 * @param count of the records that this process wrote before, which orders records of the same millisecond
 * @param digest of the record, so that a flipped bit shows
 */
export function recordName(at: Date, count: number, digest: Digest): string {
  // FAT allows no colons.
  const time = at.toISOString().replaceAll(/[-:]/g, '');
  return `${LOG}${time}-${String(count).padStart(6, '0')}-${digest.slice(0, 16)}`;
}

/** @returns undefined for any other name; `at` in milliseconds since 1970, `digest` as 16 hex digits */
export function parseRecordName(name: string): { at: number; digest: string } | undefined {
  const [, year, month, day, hour, minute, second, digest] =
    /^log\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z-\d{6,12}-([0-9a-f]{16})$/.exec(name) ?? [];
  const at = Date.parse(
    `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`,
  );
  return digest === undefined || Number.isNaN(at) ? undefined : { at, digest };
}

/** The name of a part of a blob that the file system can't hold whole. @param index counted from 1 */
export function partName(blob: string, index: number): string {
  return `${PARTS}${blob}.${String(index).padStart(4, '0')}`;
}

/** The prefix of the records of arrived trips of a medium. @param origin identifies the exporting store and its signer */
export function tripsPrefix(origin: Digest): string {
  return `${TRIPS}${origin}/`;
}

export const IMPORTS = 'imports/';
/** Parts of large blobs (split-storage.ts). */
export const PARTS = 'parts/';
/** The origin of this store and the numbers of its exports. */
export const EXPORTS = 'exports/';
/** Records of media that arrived here. */
export const TRIPS = 'trips/';
/** Bad objects. No command reads them; a person examines and removes them. */
export const QUARANTINE = 'quarantine/';
export const BLOBS = 'bcache/';
export const DIRECTORY = 'bdir/';
/** Holds the version of this layout. */
export const STORE_FILE = 'store.json';
export const STORE_FORMAT = 1;
/** Records of the log (store-log.ts). */
export const LOG = 'log/';
/** The log of earlier versions, in one file; only read now. */
export const CUSTODY_FILE = 'custody.log';
/** Time and result of the server's last check of the store. */
export const SCRUB_FILE = 'scrub.json';

/** @returns undefined for any other name */
export function digestOfBlobName(name: string): Digest | undefined {
  return name.startsWith(BLOBS) ? attempt(() => parseDigest(name.slice(BLOBS.length))) : undefined;
}

/** @returns undefined for any other name */
export function parseEntryName(name: string): { key: Key; digest: Digest } | undefined {
  const [folder, digest, ...rest] = name.slice(DIRECTORY.length).split('/');
  if (folder === undefined || digest === undefined || rest.length > 0) return undefined;
  // Another spelling of a key's folder is also a stray: lookups read only one spelling.
  const key = parseKeyFolder(folder);
  return key !== undefined && isDigest(digest) ? { key, digest } : undefined;
}

/** The key of a folder of entries; undefined for any other name, also for another spelling of a key. */
export function parseKeyFolder(folder: string): Key | undefined {
  const key = attempt(() => parseKey(decodeURIComponent(folder)));
  return key !== undefined && folderNameOf(key) === folder ? key : undefined;
}

/** @returns undefined for any other name */
export function parsePartName(name: string): { digest: Digest; index: number } | undefined {
  const [, text = '', number = ''] = /^([^.]*)\.(\d{4,9})$/.exec(name.slice(PARTS.length)) ?? [];
  const digest = attempt(() => parseDigest(text));
  const index = Number(number);
  return digest !== undefined && index > 0 && partName(digest, index) === name
    ? { digest, index }
    : undefined;
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // A stray file: listings name it, and no lookup serves it.
  }
}
