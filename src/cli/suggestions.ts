import { CacheError } from '../cache/errors.ts';
import { nearest } from '../cache/nearest.ts';
import { readKnownUrls } from '../operations/lookup.ts';
import type { Site } from '../operations/site.ts';

/** URLs that are suggested at once. */
const SUGGESTIONS = 3;

/** Software URLs of the configuration and of the site's store that are most like `url`; other caches list none. */
export async function suggestUrls(url: string, site: Site): Promise<readonly string[]> {
  return createSuggestions(site)(url);
}

/** The same for many URLs: the store is read once, when the first is asked for. */
export function createSuggestions(site: Site): (url: string) => Promise<readonly string[]> {
  let known: Promise<ReadonlySet<string>> | undefined;
  return async (url) => {
    known ??= knownUrls(site);
    const others = new Set(await known);
    // It is known by the configuration, perhaps, and yet not there.
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
    // Without a store, too, the configuration knows some.
    if (!(error instanceof CacheError)) throw error;
    return new Set(configured);
  }
}
