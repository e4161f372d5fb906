import type { HttpBindings } from '@hono/node-server';
import { CacheError, type ErrorCode, throwProgrammingError } from '../cache/errors.ts';

/** The path of the request line as sent, without the query; also of an absolute URL (RFC 9112, 3.2.2). */
export function requestPath(env: unknown): string {
  const target = (env as HttpBindings).incoming.url ?? '/';
  const path = target.startsWith('/') ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, '');
  const end = path.search(/[?#]/);
  return (end === -1 ? path : path.slice(0, end)) || '/';
}

/**
 * The path after `prefix`, decoded: some clients percent-encode keys, others send them raw.
 * @param code of the error for invalid encoding
 */
export function decodePathSegment(path: string, prefix: string, code: ErrorCode): string {
  const segment = path.slice(prefix.length);
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError(code, 'invalid percent-encoding in the path', { cause: error });
  }
}
