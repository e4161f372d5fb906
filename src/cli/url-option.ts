import { parseCacheUrl } from '../config/value.ts';
import { parseOption } from './parse-option.ts';

/** The URL of a cache given by an option, without `/` at its end. @throws CacheError `usage` with the option's name */
export function parseUrlOption(option: string, text: string): string {
  return parseOption(option, () => parseCacheUrl(text));
}

/** Whether a text that names a place is a URL, not a path. */
export function isUrl(text: string): boolean {
  return /^https?:/i.test(text);
}

/** A text with URLs, to show. */
export function withoutPasswords(text: string): string {
  return text.replace(/(https?:\/\/)[^\s/@]*@/gi, '$1…@');
}
