import { z } from 'zod';
import { digestOf, isDigest, type Digest } from './digest.ts';
import { CacheError, throwProgrammingError } from './errors.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, type Key, isReleaseKey } from './key.ts';
import { parseOsTuple, type Platform } from './platform.ts';
import type { OsRelease } from './system.ts';
import { parseTime } from './time.ts';

/** An entry as clients send and get it: the signed JSON text, and its signature in base64 (`''` if unsigned). */
export type EntryPair = readonly [json: string, signature: string];

/** Largest entry, in bytes of the JSON pair. Real ones have less than 1 KiB. */
export const ENTRY_SIZE_LIMIT = 64 * 1024;

/** A well-formed entry whose signature was not verified. */
export interface UnverifiedEntry {
  /** Both texts exactly as received: the signature covers the bytes of the first. */
  readonly pair: EntryPair;
  /** sha512 of the pair as JSON, without line breaks in the signature: the entry's name in a store. */
  readonly digest: Digest;
  /** The blob. */
  readonly sha512: Digest;
  readonly softwareUrl: string | undefined;
  /** The URL of a source file. */
  readonly url: string | undefined;
  /** The file name of a source, if the entry has it. */
  readonly basename: string | undefined;
  readonly platform: Platform | undefined;
  /** Whether the entry names a machine: nodes skip an entry without one. */
  readonly namesMachine: boolean;
  /** Size of the blob in bytes, if the entry has it. */
  readonly size: number | undefined;
  /** The file name of the archive, if the entry has it. */
  readonly file: string | undefined;
  /** The time when the entry was made, according to the entry. */
  readonly creationDate: string | undefined;
}

declare const verified: unique symbol;

/** An entry that may be stored: a trusted certificate verified it, or the site accepts unsigned entries. */
export interface VerifiedEntry extends UnverifiedEntry {
  readonly [verified]: true;
}

const members = z.looseObject({
  sha512: z.custom<Digest>(isDigest, 'must be 128 lower-case hex digits'),
  software_url: z.string().optional(),
  url: z.string().optional(),
  // Other programs may write other values into these, which are only shown: invalid ones are ignored.
  multiarch: z.unknown().optional(),
  machine: z.unknown().optional(),
  os: z.unknown().optional(),
  size: z.unknown().optional(),
  file: z.unknown().optional(),
  basename: z.unknown().optional(),
  creation_date: z.unknown().optional(),
});

/**
 * The body of `PUT /bdir/<key>`: a JSON list of two strings.
 * @throws CacheError `invalid-entry`, `too-large`
 */
export function parseEntryText(text: string): UnverifiedEntry {
  return parseEntry(parseJson(text, 'the entry'));
}

/**
 * An entry that was already parsed from JSON.
 * @throws CacheError `invalid-entry`, `too-large`
 */
export function parseEntry(value: unknown): UnverifiedEntry {
  const [json, signature, ...rest] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  if (typeof json !== 'string' || typeof signature !== 'string' || rest.length > 0) {
    throw new CacheError('invalid-entry', 'an entry is a JSON list of two strings: [JSON, SIGNATURE]');
  }
  if (!json.isWellFormed() || !signature.isWellFormed()) {
    // A lone surrogate has no UTF-8 form: the signed bytes would be ambiguous.
    throw new CacheError('invalid-entry', 'the entry contains characters that UTF-8 cannot express');
  }
  const pair: EntryPair = [json, signature];
  // The digest ignores line breaks in the signature: otherwise an old entry with one more space would count as a new one.
  const canonical = JSON.stringify([json, withoutLineBreaks(signature)]);
  if (Buffer.byteLength(JSON.stringify(pair)) > ENTRY_SIZE_LIMIT) {
    throw new CacheError('too-large', `the entry is larger than ${ENTRY_SIZE_LIMIT} bytes`);
  }
  const parsed = members.safeParse(parseJson(json, 'the first string of the entry'));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const where =
      issue === undefined || issue.path.length === 0 ? 'the first string' : `"${issue.path.join('.')}"`;
    const problem =
      issue?.path[0] === 'sha512'
        ? 'is missing or not 128 lower-case hex digits'
        : (issue?.message ?? 'is wrong');
    throw new CacheError(
      'invalid-entry',
      `the entry is not a JSON object with a sha512: ${where} ${problem}`,
    );
  }
  const { data } = parsed;
  return {
    pair,
    digest: digestOf(canonical),
    sha512: data.sha512,
    softwareUrl: data.software_url,
    url: data.url,
    basename: typeof data.basename === 'string' ? data.basename : undefined,
    platform: platformOf(data),
    namesMachine: data.multiarch !== undefined || data.machine !== undefined,
    size:
      typeof data.size === 'number' && Number.isSafeInteger(data.size) && data.size >= 0
        ? data.size
        : undefined,
    file: typeof data.file === 'string' ? data.file : undefined,
    creationDate: typeof data.creation_date === 'string' ? data.creation_date : undefined,
  };
}

/** The signed `creation_date` in milliseconds since 1970, if any. A time without a zone is UTC. */
export function madeAt({ creationDate = '' }: Pick<UnverifiedEntry, 'creationDate'>): number | undefined {
  return parseTime(creationDate);
}

/**
 * Whether an entry is of a source rather than of a software release: no node installs it, and its clients choose by members of
 * their own, whatever the platform.
 */
export function isSourceEntry(
  key: Key,
  { softwareUrl, namesMachine }: Pick<UnverifiedEntry, 'softwareUrl' | 'namesMachine'>,
): boolean {
  return !isReleaseKey(key) || (softwareUrl === undefined && !namesMachine);
}

/** Removes the line breaks that old clients put into the base64 of a signature. */
export function withoutLineBreaks(signature: string): string {
  return signature.replace(/[ \t\r\n]+/g, '');
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('invalid-entry', `${what} is not JSON`, { cause: error });
  }
}

/** Old entries have `machine` for `multiarch`, and `os` as the text of a Python tuple (protocol.md, "An entry"). */
function platformOf(data: { multiarch?: unknown; machine?: unknown; os?: unknown }): Platform | undefined {
  const multiarch =
    typeof data.multiarch === 'string'
      ? data.multiarch
      : data.machine === 'x86_64'
        ? 'x86_64-linux-gnu'
        : undefined;
  const os = typeof data.os === 'string' ? parseOsTuple(data.os) : osOfList(data.os);
  return multiarch === undefined || os === undefined ? undefined : { multiarch, os };
}

function osOfList(value: unknown): OsRelease | undefined {
  const [id, version, codename, ...rest] = Array.isArray(value) ? (value as readonly unknown[]) : [];
  return typeof id === 'string' &&
    typeof version === 'string' &&
    typeof codename === 'string' &&
    rest.length === 0
    ? [id, version, codename]
    : undefined;
}

/**
 * Checks that `entry` belongs to `key`. The signature doesn't cover the key: without this check an entry could be replayed
 * under another one (protocol.md, "An entry").
 * @throws CacheError `key-mismatch`
 */
export function checkBinding(key: Key, entry: UnverifiedEntry): void {
  const fault = faultOfBinding(key, entry);
  if (fault !== undefined)
    throw new CacheError('key-mismatch', `the entry does not belong under key ${key}: ${fault}`);
}

function faultOfBinding(key: Key, { softwareUrl, url, namesMachine }: UnverifiedEntry): string | undefined {
  if (softwareUrl !== undefined) {
    const right = keyOfSoftwareUrl(softwareUrl);
    return right === key ? undefined : `the md5 of its software_url ${softwareUrl} is ${right}`;
  }
  if (isReleaseKey(key) && namesMachine) return 'it names a machine, as a release does, but no software_url';
  // Entries of sources may have a basename instead of a URL, which can't be compared.
  if (key.startsWith('file-urlmd5:') && url !== undefined && keyOfFileUrl(url) !== key) {
    return `the key of its url ${url} is ${keyOfFileUrl(url)}`;
  }
  return undefined;
}
