import { z } from 'zod';
import type { Digest } from '../cache/digest.ts';
import type { Directory } from '../cache/directory.ts';
import { isSourceEntry } from '../cache/entry.ts';
import { CacheError, isDamage } from '../cache/errors.ts';
import { isKey, isReleaseKey, keyOfFileUrl, keyOfSoftwareUrl, type Key } from '../cache/key.ts';
import { isCompatible, type Platform } from '../cache/platform.ts';
import { signerNameOf, type SignerName, type TrustedCertificates } from '../cache/signature.ts';
import type { EntrySource, Source, SourceEntry } from '../cache/source.ts';

/** An entry as `slapos cache lookup` shows it. */
export interface LookupRow {
  readonly platform: Platform | undefined;
  /** Whether this machine would install it. */
  readonly compatible: boolean;
  /** Whether a trusted certificate verifies it. */
  readonly verified: boolean;
  /** Whose certificate that is. */
  readonly signer: SignerName | undefined;
  /** The entry's own terms, if it is of a source. */
  readonly source: SourceTerms | undefined;
  readonly sha512: Digest;
  /** Bytes of the blob; undefined if it is missing. */
  readonly size: number | undefined;
  /** When the store received the entry; undefined for another cache. */
  readonly received: Date | undefined;
  /** When it was made, according to the entry; any text. */
  readonly creationDate: string | undefined;
}

/** An entry of a source, in the terms of its clients. */
export interface SourceTerms {
  readonly url: string | undefined;
  readonly basename: string | undefined;
  /** All other members of the signed JSON: clients choose by them. */
  readonly members: Readonly<Record<string, unknown>>;
}

/**
 * The given key, or the key of a URL. @throws CacheError `usage`: an empty text, such as an empty variable of a
 * script
 */
export function keyOf(urlOrKey: string): Key {
  if (urlOrKey.trim() === '') throw new CacheError('usage', 'an empty name; write a software URL or a key');
  return isKey(urlOrKey) ? urlOrKey : keyOfSoftwareUrl(urlOrKey);
}

/** The keys to try, in their order: the given key, or those of a URL: of a release, then of a source file. */
export function keysToTry(urlOrKey: string): readonly [Key, ...Key[]] {
  const key = keyOf(urlOrKey);
  return key === urlOrKey ? [key] : [key, keyOfFileUrl(urlOrKey)];
}

/** The entries of the first of the keys that has any, else the first key without entries. */
export async function findEntries(
  keys: readonly [Key, ...Key[]],
  source: EntrySource,
): Promise<{ readonly key: Key; readonly entries: readonly SourceEntry[] }> {
  for (const key of keys) {
    const entries = await source.entries(key);
    if (entries.length > 0) return { key, entries };
  }
  return { key: keys[0], entries: [] };
}

/** A row for each entry of a URL or key, in the order in which a node tries them; and the key that has them. */
export async function lookUp(
  urlOrKey: string,
  source: EntrySource,
  machine: Platform,
  trusted: TrustedCertificates,
): Promise<{ readonly key: Key; readonly rows: readonly LookupRow[] }> {
  const { key, entries } = await findEntries(keysToTry(urlOrKey), source);
  const rows = entries.map(async (entry) => {
    const certificate = trusted.signerOf(entry);
    return {
      platform: entry.platform,
      compatible: entry.platform !== undefined && isCompatible(entry.platform, machine),
      verified: certificate !== undefined,
      signer: certificate && signerNameOf(certificate),
      source: isSourceEntry(key, entry) ? termsOf(entry) : undefined,
      sha512: entry.sha512,
      size: await source.blobSize(entry.sha512),
      received: entry.received,
      creationDate: entry.creationDate,
    };
  });
  return { key, rows: await Promise.all(rows) };
}

function termsOf({ url, basename, pair: [json] }: SourceEntry): SourceTerms {
  const shown = new Set(['sha512', 'url', 'basename']);
  const members = Object.entries(z.looseObject({}).parse(JSON.parse(json))).filter(
    ([name]) => !shown.has(name),
  );
  return { url, basename, members: Object.fromEntries(members) };
}

/**
 * The software URLs of a store and its configuration, for suggestions: a URL that is not strictly identical is the
 * commonest mistake.
 */
export async function readKnownUrls(
  directory: Directory,
  more: Iterable<string>,
): Promise<ReadonlySet<string>> {
  const known = new Set(more);
  for await (const softwareUrl of softwareUrls(directory)) known.add(softwareUrl);
  return known;
}

/** The software URL of every release in the store. Reads one entry per key. */
export async function* softwareUrls(directory: Directory): AsyncGenerator<string> {
  const seen = new Set<Key>();
  for await (const { key, digest } of directory.list()) {
    if (seen.has(key)) continue;
    seen.add(key);
    try {
      const softwareUrl = (await directory.entry(key, digest))?.softwareUrl;
      if (softwareUrl !== undefined) yield softwareUrl;
    } catch (error) {
      // A damaged entry has no URL to suggest.
      if (!isDamage(error)) throw error;
    }
  }
}

/**
 * The software URL of every release of a source. Reads the entries of each key, with a request each from a running cache.
 * @throws CacheError `not-found` if the source has no list of keys; `unavailable`
 */
export async function* urlsOfSource(source: Pick<Source, 'keys' | 'entries'>): AsyncGenerator<string> {
  for await (const key of source.keys()) {
    if (!isReleaseKey(key)) continue;
    const entries = await source.entries(key);
    const url = entries.find(({ softwareUrl }) => softwareUrl !== undefined)?.softwareUrl;
    // Nobody verified the list: an entry under another key would change what a name means.
    if (url !== undefined && keyOfSoftwareUrl(url) === key) yield url;
  }
}

/** Branches and local paths that the shipped slapos.cfg excludes from cache lookups (protocol.md). */
const SHIPPED_BLACKLIST = [
  'https://lab.nexedi.com/nexedi/slapos/raw/master',
  'https://lab.nexedi.com/nexedi/slapos/raw/1.0/',
  'https://lab.nexedi.com/nexedi/slapos/raw/erp5',
  '/',
];

/** @returns the matching line of slapos.cfg's shipped `download-from-binary-cache-url-blacklist` */
function blacklistedBy(url: string): string | undefined {
  return SHIPPED_BLACKLIST.find((prefix) => url.startsWith(prefix));
}

/** A note for a software URL that nodes with the default slapos.cfg never look up in a cache. */
export function blacklistNote(url: string): string | undefined {
  const blacklist = blacklistedBy(url);
  return blacklist === undefined
    ? undefined
    : `nodes never ask a cache for this URL: the slapos.cfg that SlapOS ships has ${blacklist} in download-from-binary-cache-url-blacklist`;
}
