import { isDigest, parseDigest, type Digest } from './digest.ts';
import { folderNameOf, parseKey, type Key } from './key.ts';
import { throwProgrammingError } from './errors.ts';

/** Where a blob is kept. */
export function blobName(digest: Digest): string {
  return `${BLOBS}${digest}`;
}

/** Where all entries of a key are kept; ends in `/`. */
export function entriesPrefix(key: Key): string {
  return `${DIRECTORY}${folderNameOf(key)}/`;
}

/** Where it is kept that an archive was imported. @param fingerprint of the archive and of what was said about it */
export function importRecordName(fingerprint: Digest): string {
  return `${IMPORTS}${fingerprint}`;
}

/**
 * Where a record of the log is kept. Names in order are records in order of time.
 * @param count of the records that the process has written before: of two in one millisecond, the first comes first
 * @param digest of the record: a flipped bit shows
 */
export function recordName(at: Date, count: number, digest: Digest): string {
  // FAT takes no colons.
  const time = at.toISOString().replaceAll(/[-:]/g, '');
  return `${LOG}${time}-${String(count).padStart(6, '0')}-${digest.slice(0, 16)}`;
}

/** @returns undefined for a name that is no record's; `at` in milliseconds since 1970, `digest` as 16 hex digits */
export function parseRecordName(name: string): { at: number; digest: string } | undefined {
  const [, year, month, day, hour, minute, second, digest] =
    /^log\/(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z-\d{6,12}-([0-9a-f]{16})$/.exec(name) ?? [];
  const at = Date.parse(
    `${year ?? ''}-${month ?? ''}-${day ?? ''}T${hour ?? ''}:${minute ?? ''}:${second ?? ''}Z`,
  );
  return digest === undefined || Number.isNaN(at) ? undefined : { at, digest };
}

/** Where a part of a blob is kept on a medium whose file system can't take it whole. @param index counted from 1 */
export function partName(digest: Digest, index: number): string {
  return `${PARTS}${digest}.${String(index).padStart(4, '0')}`;
}

/** Where it is kept which trips of a medium arrived here. @param origin tells the exporting store and its signer */
export function tripsPrefix(origin: Digest): string {
  return `${TRIPS}${origin}/`;
}

export const IMPORTS = 'imports/';
/** Only on media. */
export const PARTS = 'parts/';
/** What was exported from here. */
export const EXPORTS = 'exports/';
/** What arrived by media here. */
export const TRIPS = 'trips/';
/** What was bad. Nothing reads it; a person looks into it and removes it. */
export const QUARANTINE = 'quarantine/';
export const BLOBS = 'bcache/';
export const DIRECTORY = 'bdir/';
/** Tells the version of this layout. */
export const STORE_FILE = 'store.json';
export const STORE_FORMAT = 1;
/** Who did what to the store (store-log.ts). */
export const LOG = 'log/';
/** The same, as earlier versions wrote it: one file, which is only read now. */
export const CUSTODY_FILE = 'custody.log';
/** How and when the server last checked the store by itself. */
export const SCRUB_FILE = 'scrub.json';

/** @returns undefined for a name that is no blob's */
export function digestOfBlobName(name: string): Digest | undefined {
  return attempt(() => parseDigest(name.slice(BLOBS.length)));
}

/** @returns undefined for a name that is no entry's */
export function parseEntryName(name: string): { key: Key; digest: Digest } | undefined {
  const [folder, digest, ...rest] = name.slice(DIRECTORY.length).split('/');
  if (folder === undefined || digest === undefined || rest.length > 0) return undefined;
  // Another spelling of a key's folder is a stray, too: the key's entries are sought in the one place.
  const key = parseKeyFolder(folder);
  return key !== undefined && isDigest(digest) ? { key, digest } : undefined;
}

/** The key of a folder of entries; undefined for a name that is no key's, or another spelling of one. */
export function parseKeyFolder(folder: string): Key | undefined {
  const key = attempt(() => parseKey(decodeURIComponent(folder)));
  return key !== undefined && folderNameOf(key) === folder ? key : undefined;
}

/** @returns undefined for a name that is no part's */
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
    return undefined; // A stray file: whoever lists names it, nobody serves it.
  }
}
