import { parseDigest, type Digest } from './digest.ts';
import { folderNameOf, parseKey, type Key } from './key.ts';

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

export const IMPORTS = 'imports/';
export const BLOBS = 'bcache/';
export const DIRECTORY = 'bdir/';
/** Tells the version of this layout. */
export const STORE_FILE = 'store.json';
export const STORE_FORMAT = 1;

/** @returns undefined for a name that is no blob's */
export function digestOfBlobName(name: string): Digest | undefined {
  return attempt(() => parseDigest(name.slice(BLOBS.length)));
}

/** @returns undefined for a name that is no entry's */
export function parseEntryName(name: string): { key: Key; digest: Digest } | undefined {
  const [folder, digest, ...rest] = name.slice(DIRECTORY.length).split('/');
  if (folder === undefined || digest === undefined || rest.length > 0) return undefined;
  const parsed = attempt(() => ({ key: parseKey(decodeURIComponent(folder)), digest: parseDigest(digest) }));
  // Another spelling of a key's folder is a stray, too: the key's entries are sought in the one place.
  return parsed !== undefined && folderNameOf(parsed.key) === folder ? parsed : undefined;
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined; // A stray file: whoever lists names it, nobody serves it.
  }
}
