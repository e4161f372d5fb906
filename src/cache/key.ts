import { createHash } from 'node:crypto';
import { quoteBriefly } from './digest.ts';
import { CacheError } from './errors.ts';

/** A key: `md5(software URL)`, `file-urlmd5:…`, `pypi:NAME=VERSION`, or a client's own name. */
export type Key = string & { readonly brand: unique symbol };

const KEY_LENGTH_LIMIT = 160;
/** Bytes; the limit of common file systems. The folder name of a short key may exceed it. */
const FOLDER_NAME_LIMIT = 255;
const MD5 = /^[0-9a-f]{32}$/;
/** Characters that Python's http.client sends raw: printable ASCII without space and `/`. */
const KEY_CHARACTERS = /^[!-.0-~]+$/;

/** @throws CacheError `invalid-key` */
export function parseKey(text: string): Key {
  const fault = faultOfKey(text);
  if (fault === undefined) return text as Key;
  throw new CacheError('invalid-key', `not a key: ${quoteBriefly(text)}: ${fault}`);
}

export function isKey(text: string): text is Key {
  return faultOfKey(text) === undefined;
}

function faultOfKey(text: string): string | undefined {
  if (!isKeyForm(text)) return 'only one path segment of printable ASCII characters without space is allowed';
  if (text.length > KEY_LENGTH_LIMIT) return `longer than ${KEY_LENGTH_LIMIT} characters`;
  if (folderNameOf(text).length > FOLDER_NAME_LIMIT)
    return 'too long for a name in a store; upper case and punctuation take three bytes each there';
  return undefined;
}

/** Whether a text has the form of a key, of any length. */
export function isKeyForm(text: string): boolean {
  return KEY_CHARACTERS.test(text) && text !== '.' && text !== '..';
}

/** Whether a software release can have this key; other keys are for sources. */
export function isReleaseKey(key: Key): boolean {
  return MD5.test(key);
}

/**
 * Encodes a key as a folder name for all file systems, also FAT and exFAT of media: without `:`, upper case, and a dot at
 * either end. `decodeURIComponent` reverses it.
 */
export function folderNameOf(key: string): string {
  return key.replace(/[^a-z0-9._=+-]|^\.|\.$/g, (character) => `%${character.charCodeAt(0).toString(16)}`);
}

/** The key of a software release: the md5 of the URL's exact bytes. */
export function keyOfSoftwareUrl(url: string): Key {
  return md5(url) as Key;
}

/** The key of a source file by its URL. */
export function keyOfFileUrl(url: string): Key {
  return `file-urlmd5:${md5(url)}` as Key;
}

function md5(text: string): string {
  return createHash('md5').update(text, 'utf8').digest('hex');
}
