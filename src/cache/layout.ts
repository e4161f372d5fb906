import { parseDigest, type Digest } from './digest.ts';
import { parseKey, type Key } from './key.ts';

/** Where a blob is kept. */
export function blobName(digest: Digest): string {
  return `${BLOBS}${digest}`;
}

/** Where all entries of a key are kept; ends in `/`. */
export function entriesPrefix(key: Key): string {
  return `${DIRECTORY}${encodeKey(key)}/`;
}

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
  const [encoded, digest, ...rest] = name.slice(DIRECTORY.length).split('/');
  if (encoded === undefined || digest === undefined || rest.length > 0) return undefined;
  return attempt(() => ({ key: parseKey(decodeURIComponent(encoded)), digest: parseDigest(digest) }));
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined; // A stray file: whoever lists names it, nobody serves it.
  }
}

/**
 * A key as a folder's name that FAT and exFAT take too (a store travels on USB disks): no `:`, and nothing that
 * differs by upper and lower case alone, no dot at the end.
 */
function encodeKey(key: Key): string {
  return key.replace(/[^a-z0-9._=+-]|\.$/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
}
