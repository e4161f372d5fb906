import { CacheError } from '../cache/errors.ts';
import { nearest } from '../cache/nearest.ts';
import { readKnownUrls } from '../operations/lookup.ts';
import type { Site } from '../operations/site.ts';

/** Maximum number of suggested URLs. */
const SUGGESTIONS = 3;

/** Software URLs of the configuration and the store that resemble `url` most; other caches list none. */
export async function suggestUrls(url: string, site: Site): Promise<readonly string[]> {
  return createSuggestions(site)(url);
}

/** The same for many URLs; reads the store once, at the first call. */
export function createSuggestions(site: Site): (url: string) => Promise<readonly string[]> {
  let known: Promise<ReadonlySet<string>> | undefined;
  return async (url) => {
    known ??= knownUrls(site);
    const others = new Set(await known);
    // The configuration may name a URL without an entry.
    others.delete(url);
    return nearest(url, others, { limit: SUGGESTIONS });
  };
}

async function knownUrls(site: Site): Promise<ReadonlySet<string>> {
  const configured = Array.from(site.config.software, ([, known]) => known);
  try {
    const { directory } = await site.store('read');
    return await readKnownUrls(directory, configured);
  } catch (error) {
    // The configuration also helps without a store.
    if (!(error instanceof CacheError)) throw error;
    return new Set(configured);
  }
}
