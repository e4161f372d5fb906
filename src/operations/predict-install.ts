import type { Catalog, CatalogQuery } from '../cache/catalog.ts';
import { createGivingWay } from '../cache/give-way.ts';
import type { Key } from '../cache/key.ts';
import { nearest } from '../cache/nearest.ts';
import type { Platform } from '../cache/platform.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Source } from '../cache/source.ts';
import type { SoftwareTable } from '../config/software-table.ts';
import { versionedNameOf } from '../release/release-name.ts';
import { blacklistNote, findEntries, keyOf, keysToTry } from './lookup.ts';
import { findByName, isReleaseName } from './named-releases.ts';
import { checkRelease, type ChosenEntry } from './upkeep/check-release.ts';

export interface InstallPrediction {
  /** The URL or key that the text means. */
  readonly url: string;
  readonly key: Key;
  /** Why a node can't install it; undefined if it can. */
  readonly problem: string | undefined;
  readonly chosen: ChosenEntry | undefined;
  readonly platforms: readonly Platform[];
  /** Known URLs: the candidates of an ambiguous name, or those most similar to a URL without entries. */
  readonly suggestions: readonly string[];
  readonly notes: readonly string[];
}

export interface PredictOptions {
  readonly machine: Platform;
  readonly source: Source;
  /** Whose entries nodes install. */
  readonly trusted: TrustedCertificates;
  readonly catalog: Catalog;
  /** `[software]` and `[pin]`. */
  readonly tables: readonly SoftwareTable[];
}

const SUGGESTIONS = 5;
/** URLs to compare: a request must not take longer than a moment. */
const CANDIDATES = 10_000;

/**
 * Whether a node can install what a text names, as `cache check` answers for the site's own store. Reads no blob.
 * @throws CacheError `usage`, `storage`
 */
export async function predictInstall(text: string, options: PredictOptions): Promise<InstallPrediction> {
  const { machine, source, trusted, catalog } = options;
  const named = await urlsNamed(text, options);
  const [url = text] = named;
  if (named.length > 1) {
    const problem = `${text} names ${named.length} releases`;
    const suggestions = named.slice(0, SUGGESTIONS);
    return { url, key: keyOf(text), problem, chosen: undefined, platforms: [], suggestions, notes: [] };
  }
  const { key } = await findEntries(keysToTry(url), source);
  const { problem, chosen, platforms } = await checkRelease(key, source, { machine, trusted, deep: false });
  const note = blacklistNote(url);
  return {
    ...{ url, key, chosen, platforms, problem: problem?.message },
    suggestions: problem?.kind === 'no-entry' ? await similarUrls(url, catalog) : [],
    notes: note === undefined ? [] : [note],
  };
}

/** The URLs of a name; none for a URL, for a key with entries, and if nothing has the name. */
async function urlsNamed(
  text: string,
  { source, catalog, tables }: PredictOptions,
): Promise<readonly string[]> {
  if (!isReleaseName(text) || (await findEntries(keysToTry(text), source)).entries.length > 0) return [];
  const words = await urlsIn(catalog, { text: text.replaceAll('@', ' ') });
  return findByName(text, words, tables).urls;
}

/** Releases of the same name have the most similar URLs. */
async function similarUrls(url: string, catalog: Catalog): Promise<readonly string[]> {
  const [name] = versionedNameOf(url)?.split('@') ?? [];
  const sameName = name === undefined ? [] : await urlsIn(catalog, { name });
  const candidates = sameName.length > 0 ? sameName : await urlsIn(catalog, {});
  return nearest(url, candidates, { limit: SUGGESTIONS });
}

async function urlsIn(catalog: Catalog, query: CatalogQuery): Promise<readonly string[]> {
  const giveWay = createGivingWay();
  const urls: string[] = [];
  let cursor: string | undefined;
  do {
    const page = catalog.releases({ ...query, limit: 1000, ...(cursor === undefined ? {} : { cursor }) });
    for (const { url } of page.items) urls.push(url);
    ({ cursor } = page);
    await giveWay();
  } while (cursor !== undefined && urls.length < CANDIDATES);
  return urls;
}
