import type { Digest } from '../cache/digest.ts';
import type { Directory } from '../cache/directory.ts';
import { CacheError, isDamage } from '../cache/errors.ts';
import { isKey, keyOfSoftwareUrl, type Key } from '../cache/key.ts';
import { isCompatible, type Platform } from '../cache/platform.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { EntrySource } from '../cache/source.ts';

/** An entry as `slapos cache lookup` shows it. */
export interface LookupRow {
  readonly platform: Platform | undefined;
  /** Whether this machine would install it. */
  readonly compatible: boolean;
  /** Whether a trusted certificate verifies it. */
  readonly verified: boolean;
  readonly sha512: Digest;
  /** Bytes of the blob; undefined if it is missing. */
  readonly size: number | undefined;
  /** Received time of the entry, or else its creation date; undefined if both are unknown. */
  readonly date: string | undefined;
}

/**
 * The given key, or the key of a URL. @throws CacheError `usage`: an empty text, such as an empty variable of a
 * script
 */
export function keyOf(urlOrKey: string): Key {
  if (urlOrKey.trim() === '') throw new CacheError('usage', 'an empty name; write a software URL or a key');
  return isKey(urlOrKey) ? urlOrKey : keyOfSoftwareUrl(urlOrKey);
}

/** A row for each entry of the key, in the order in which a node tries them. */
export async function lookUp(
  key: Key,
  source: EntrySource,
  machine: Platform,
  trusted: TrustedCertificates,
): Promise<readonly LookupRow[]> {
  const entries = await source.entries(key);
  return Promise.all(
    entries.map(async (entry) => ({
      platform: entry.platform,
      compatible: entry.platform !== undefined && isCompatible(entry.platform, machine),
      verified: trusted.signerOf(entry) !== undefined,
      sha512: entry.sha512,
      size: await source.blobSize(entry.sha512),
      date: entry.received?.toISOString() ?? entry.creationDate,
    })),
  );
}

/**
 * The software URLs of a store, and `more`, for suggestions: a URL that is not strictly identical is the commonest
 * mistake.
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
async function* softwareUrls(directory: Directory): AsyncGenerator<string> {
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

/** Branches and local paths that the shipped slapos.cfg excludes from cache lookups (protocol.md). */
const SHIPPED_BLACKLIST = [
  'https://lab.nexedi.com/nexedi/slapos/raw/master',
  'https://lab.nexedi.com/nexedi/slapos/raw/1.0/',
  'https://lab.nexedi.com/nexedi/slapos/raw/erp5',
  '/',
];

/** @returns the matching line of slapos.cfg's shipped `download-from-binary-cache-url-blacklist` */
export function blacklistedBy(url: string): string | undefined {
  return SHIPPED_BLACKLIST.find((prefix) => url.startsWith(prefix));
}
