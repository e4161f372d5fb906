import { CacheError } from '../cache/errors.ts';
import { isKey, type Key } from '../cache/key.ts';
import { nearest } from '../cache/nearest.ts';
import type { Source } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import { keysToTry, readKnownUrls, urlsOfSource } from '../operations/lookup.ts';
import { findByName, isReleaseName, type NamedReleases } from '../operations/named-releases.ts';
import type { Site } from '../operations/site.ts';
import { versionedNameOf } from '../release/release-name.ts';

/** Maximum number of suggested URLs. */
const SUGGESTIONS = 3;
/** Maximum number of URLs that an ambiguous name lists. */
const CANDIDATES = 10;

/** The releases that people may name without their exact URL. Everything is read once, on first use. */
export interface KnownReleases {
  /**
   * The URL of the release that a text names, which is told; the text itself if it is a URL, a key with entries, or the
   * name of nothing known. NAME@VERSION, a name of `[software]` or `[pin]`, or a part of one URL.
   * @param allowPart false: a part of a URL is refused
   * @throws CacheError `usage`: it is ambiguous, or a refused part
   */
  resolve(text: string, allowPart?: boolean): Promise<string>;
  /** Software URLs that resemble a URL or a NAME@VERSION most. */
  suggest(text: string): Promise<readonly string[]>;
}

/** What decides whether a text is a key, and what knows more releases than the site. */
export interface KnownIn {
  /** Whether a key has entries, where the command looks. */
  readonly hasEntries: (key: Key) => Promise<boolean>;
  /** The running cache that is asked; most list no keys. */
  readonly server?: Source | undefined;
}

/** Knows the URLs of the configuration, of the store, and of a server that lists its keys. */
export function createKnownReleases(site: Site, { hasEntries, server }: KnownIn): KnownReleases {
  const { software, pin } = site.config;
  let own: Promise<ReadonlySet<string>> | undefined;
  let foreign: Promise<readonly string[]> | undefined;

  const find = async (text: string): Promise<NamedReleases> => {
    const urls = await (own ??= urlsOfSite(site));
    const found = findByName(text, urls, [software, pin]);
    if (server === undefined || (found.urls.length > 0 && !found.isPart)) return found;
    foreign ??= urlsOfServer(server);
    return findByName(text, [...urls, ...(await foreign)], [software, pin]);
  };

  return {
    async resolve(text, allowPart = true) {
      if (!isReleaseName(text) || (await isAny(keysToTry(text), hasEntries))) return text;
      const url = oneOf(text, await find(text), allowPart);
      if (url === undefined) return text;
      site.messages.tell(`${text} is ${url}`);
      return url;
    },
    async suggest(text) {
      // Keys of sources resemble no URL.
      if (isKey(text) && !text.includes('@')) return [];
      const others = new Set(await (own ??= urlsOfSite(site)));
      // The configuration may name a URL without an entry.
      others.delete(text);
      if (!text.includes('@') || text.includes('/')) return nearest(text, others, { limit: SUGGESTIONS });
      const names = new Map([...others].map((url) => [versionedNameOf(url) ?? url, url]));
      return nearest(text, names.keys(), { limit: SUGGESTIONS }).map((name) => names.get(name) ?? name);
    },
  };
}

/** For a command that looks into a store. */
export function inStore({ directory }: Pick<Store, 'directory'>): KnownIn {
  // Damaged entries count, too.
  return { hasEntries: async (key) => (await directory.digests(key)).length > 0 };
}

/** For a command that asks a running cache. */
export function inServer(server: Source): KnownIn {
  return { server, hasEntries: async (key) => (await server.entries(key)).length > 0 };
}

/**
 * The only URL of a name; undefined if nothing has it.
 * @throws CacheError `usage`
 */
export function oneOf(name: string, { urls, isPart }: NamedReleases, allowPart = true): string | undefined {
  const [url, ...others] = urls;
  if (url === undefined) return undefined;
  if (others.length > 0) {
    const more = urls.length > CANDIDATES ? [`and ${urls.length - CANDIDATES} more`] : [];
    throw new CacheError(
      'usage',
      [
        `${name} names ${urls.length} releases; write the URL of one:`,
        ...[...urls.slice(0, CANDIDATES), ...more].map((line) => `  ${line}`),
      ].join('\n'),
    );
  }
  if (isPart && !allowPart)
    throw new CacheError(
      'usage',
      `${name} is only a part of ${url}; write the whole URL or NAME@VERSION, or add --dry-run to see what would be removed`,
    );
  return url;
}

async function isAny(keys: readonly Key[], hasEntries: KnownIn['hasEntries']): Promise<boolean> {
  for (const key of keys) if (await hasEntries(key)) return true;
  return false;
}

async function urlsOfSite(site: Site): Promise<ReadonlySet<string>> {
  const { software, pin } = site.config;
  const configured = [...software, ...pin].map(([, url]) => url);
  try {
    const { directory } = await site.store('read');
    return await readKnownUrls(directory, configured);
  } catch (error) {
    // The configuration also helps without a store.
    if (!(error instanceof CacheError)) throw error;
    return new Set(configured);
  }
}

async function urlsOfServer(server: Source): Promise<readonly string[]> {
  const urls: string[] = [];
  try {
    for await (const url of urlsOfSource(server)) urls.push(url);
  } catch (error) {
    // Other caches list no keys.
    if (!(error instanceof CacheError) || error.code !== 'not-found') throw error;
  }
  return urls;
}
