import type { z } from 'zod';
import type { ErrorCode } from '../cache/errors.ts';
import type { JSON_ERROR } from './json-schemas.ts';

/** `unexpected` is an error of this program. */
export type JsonErrorCode = ErrorCode | 'unexpected';

/** An error as one line of JSON. */
export function errorLine(code: JsonErrorCode, message: string): string {
  const error = { code, message: message.replace(/^cache: /, '') };
  return JSON.stringify({ error } satisfies z.infer<typeof JSON_ERROR>);
}
