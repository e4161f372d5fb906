import { keyOfFileUrl, keyOfSoftwareUrl, type Key } from '../../cache/key.ts';
import type { Config } from '../../config/config.ts';

/** The keys of the URLs in `[pin]`, each with its name there. */
export function pinnedKeys({ pin }: Config): ReadonlyMap<Key, string> {
  // A URL may also be a source's.
  return new Map(
    [...pin].flatMap(([name, url]) => [keyOfSoftwareUrl(url), keyOfFileUrl(url)].map((key) => [key, name])),
  );
}
