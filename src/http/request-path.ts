import type { HttpBindings } from '@hono/node-server';
import { CacheError, type ErrorCode, throwProgrammingError } from '../cache/errors.ts';

/** The path of the request line as the client sent it, without the query. Absolute URLs (RFC 9112, 3.2.2) count too. */
export function requestPath(env: unknown): string {
  const target = (env as HttpBindings).incoming.url ?? '/';
  const path = target.startsWith('/') ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, '');
  const end = path.search(/[?#]/);
  return (end === -1 ? path : path.slice(0, end)) || '/';
}

/**
 * What stands in the path behind `prefix`. Clients send keys raw, others percent-encode them: both count.
 * @param code of the error for what can't be decoded
 */
export function decodePathSegment(path: string, prefix: string, code: ErrorCode): string {
  const segment = path.slice(prefix.length);
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError(code, 'bad percent-encoding in the path', { cause: error });
  }
}
