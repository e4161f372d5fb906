import { CacheError } from '../cache/errors.ts';
import { parseBaseUrl } from '../config/value.ts';

/** The URL of a cache as an option gives it, without `/` at its end. @throws CacheError `usage` naming the option */
export function parseUrlOption(option: string, text: string): string {
  try {
    return parseBaseUrl(text);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    throw new CacheError('usage', `${option}: ${error.message}`, { cause: error });
  }
}
