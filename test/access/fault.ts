import { CacheError } from '../../src/cache/errors.ts';

/** The CacheError that an action ends with. */
export async function faultOf(action: () => unknown): Promise<CacheError> {
  try {
    await action();
  } catch (error) {
    if (error instanceof CacheError) return error;
    throw error;
  }
  throw new Error('there was no error');
}
