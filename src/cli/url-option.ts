import { parseCacheUrl } from '../config/value.ts';
import { parseOption } from './parse-option.ts';

/** The URL of a cache as an option gives it, without `/` at its end. @throws CacheError `usage` naming the option */
export function parseUrlOption(option: string, text: string): string {
  return parseOption(option, () => parseCacheUrl(text));
}

/** Whether a text that names a place is a URL, not a path. */
export function isUrl(text: string): boolean {
  return /^https?:/i.test(text);
}
