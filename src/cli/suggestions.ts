import { CacheError } from '../cache/errors.ts';
import { nearest } from '../cache/nearest.ts';
import type { Config } from '../config/config.ts';
import { readKnownUrls } from '../operations/lookup.ts';
import { openStore, type Store } from './site.ts';
import type { Terminal } from './terminal/terminal.ts';

/** URLs that are suggested at once. */
const SUGGESTIONS = 3;

/**
 * URLs that are meant, perhaps: another cache lists none, those of the configuration and of the site's store are known.
 * @param opened the store, where it is open already; a store that isn't there is passed over otherwise
 */
export async function suggestUrls(
  url: string,
  config: Config,
  opened: Pick<Store, 'directory'> | undefined,
  terminal: Terminal,
): Promise<readonly string[]> {
  return createSuggestions(config, opened, terminal)(url);
}

/** The same for many URLs: the store is read once, when the first is asked for. */
export function createSuggestions(
  config: Config,
  opened: Pick<Store, 'directory'> | undefined,
  terminal: Terminal,
): (url: string) => Promise<readonly string[]> {
  let known: Promise<ReadonlySet<string>> | undefined;
  return async (url) => {
    known ??= knownUrls(config, opened, terminal);
    const others = new Set(await known);
    // It is known by the configuration, perhaps, and yet not there.
    others.delete(url);
    return nearest(url, others, { limit: SUGGESTIONS });
  };
}

async function knownUrls(
  config: Config,
  opened: Pick<Store, 'directory'> | undefined,
  terminal: Terminal,
): Promise<ReadonlySet<string>> {
  const configured = Array.from(config.software, ([, known]) => known);
  try {
    const { directory } = opened ?? (await openStore(config, terminal, { write: false }));
    return await readKnownUrls(directory, configured);
  } catch (error) {
    if (opened !== undefined || !(error instanceof CacheError)) throw error;
    return new Set(configured);
  }
}
