import { CacheError } from '../cache/errors.ts';
import { parseMultiarch } from '../cache/platform.ts';

/** The value of an option. @throws CacheError `usage` with the option's name if `parse` throws a CacheError */
export function parseOption<Value>(option: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    throw new CacheError('usage', `${option}: ${error.message}`, { cause: error });
  }
}

/** @throws CacheError `usage`: the value of `--multiarch` is none */
export function checkMultiarch(multiarch: string | undefined): void {
  if (multiarch !== undefined) parseOption('--multiarch', () => parseMultiarch(multiarch));
}
