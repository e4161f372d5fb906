import { isKey, isReleaseKey } from '../cache/key.ts';
import type { SoftwareTable } from '../config/software-table.ts';
import { versionedNameOf } from '../release/release-name.ts';

/** The software URLs that a name may mean. */
export interface NamedReleases {
  /** None if nothing has the name, several if it is ambiguous; sorted. */
  readonly urls: readonly string[];
  /** Whether the name is only a part of the URL. */
  readonly isPart: boolean;
}

/**
 * Whether a text may name a release. URLs and keys with a scheme have a `:`, software URLs that are paths begin with `/`,
 * keys of releases have 32 hex digits.
 */
export function isReleaseName(text: string): boolean {
  return !text.includes(':') && !text.startsWith('/') && !(isKey(text) && isReleaseKey(text));
}

/**
 * The releases with exactly this name: one of `tables`, or NAME@VERSION of one of the URLs. Without any, and unless the
 * name has an `@`, the URLs that contain it as whole words: `1.0.34` is no part of `…/1.0.344/…`.
 */
export function findByName(
  name: string,
  urls: Iterable<string>,
  tables: readonly SoftwareTable[],
): NamedReleases {
  const known = [...urls];
  const exact = new Set([
    ...tables.map((table) => table.get(name)).filter((url) => url !== undefined),
    ...known.filter((url) => versionedNameOf(url) === name),
  ]);
  if (exact.size > 0) return { urls: [...exact].sort(), isPart: false };
  const parts = name.includes('@') ? [] : known.filter((url) => hasWords(url, name));
  return { urls: [...new Set(parts)].sort(), isPart: true };
}

/** Whether a text contains words that begin and end where words of the text do. */
function hasWords(text: string, words: string): boolean {
  if (!/[a-z0-9]/i.test(words)) return false;
  for (let start = text.indexOf(words); start !== -1; start = text.indexOf(words, start + 1)) {
    const end = start + words.length;
    if (isBorder(text, start) && isBorder(text, end)) return true;
  }
  return false;
}

/** Whether no word goes on at an index. */
function isBorder(text: string, index: number): boolean {
  return !/^[a-z0-9]{2}$/i.test(text.slice(Math.max(0, index - 1), index + 1));
}
