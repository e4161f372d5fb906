import { parseCacheUrl } from '../config/value.ts';
import { parseOption } from './parse-option.ts';

/** The URL of a cache as an option gives it, without `/` at its end. @throws CacheError `usage` naming the option */
export function parseUrlOption(option: string, text: string): string {
  return parseOption(option, () => parseCacheUrl(text));
}
