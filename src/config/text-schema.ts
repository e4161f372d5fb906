import { z } from 'zod';
import { CacheError } from '../cache/errors.ts';

/** The schema of a value that `parse` reads from text; a CacheError becomes an issue. */
export function textSchema<Value>(parse: (text: string) => Value) {
  return z.string().transform((text, context) => attempt(context, [], () => parse(text)));
}

/** The value of `parse`, or an issue at `path` when it throws a CacheError. */
export function attempt<Value>(context: z.RefinementCtx, path: readonly string[], parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    context.addIssue({ code: 'custom', path: [...path], message: error.message });
    return z.NEVER;
  }
}

/** Adds an issue about `key`. */
export function addFault(context: z.RefinementCtx, key: string, message: string): void {
  context.addIssue({ code: 'custom', path: [key], message });
}
