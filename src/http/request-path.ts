import type { HttpBindings } from '@hono/node-server';
import { CacheError, type ErrorCode, throwProgrammingError } from '../cache/errors.ts';

/** Host names whose root is one of the services; in lower case, without port. */
export interface ServiceHosts {
  /** `http://NAME/<sha512>` */
  readonly cache: readonly string[];
  /** `http://NAME/<key>` */
  readonly directory: readonly string[];
}

/** Where other programs have the services (protocol.md, "Other layouts"); the longer paths first. */
const ALIASES = [
  ['/shacache/cache', '/bcache'],
  ['/shacache/dir', '/bdir'],
  ['/shacache', '/bcache'],
  ['/shadir', '/bdir'],
] as const;

/** An absolute URL in the request line (RFC 9112, 3.2.2). */
const ABSOLUTE = /^[a-z]+:\/\/([^/?#]*)/i;

/**
 * Translates the request line to a path of this service, `/bcache/…`, `/bdir/…` or another one. The path stays as sent, without
 * the query. On a host of a service a path of one segment is below that service.
 */
export function createPathOf({ cache, directory }: ServiceHosts): (env: unknown) => string {
  const roots = new Map([
    ...cache.map((host) => [host, '/bcache'] as const),
    ...directory.map((host) => [host, '/bdir'] as const),
  ]);

  return (env) => {
    const { url: target = '/', headers } = (env as HttpBindings).incoming;
    const [whole = '', authority] = target.startsWith('/') ? [] : (ABSOLUTE.exec(target) ?? []);
    const path = pathIn(target.slice(whole.length));
    if (roots.size > 0 && path.indexOf('/', 1) === -1) {
      const root = roots.get(hostIn(authority ?? headers.host ?? ''));
      if (root !== undefined) return root + path;
    }
    return path.startsWith('/sha') ? translate(path) : path;
  };
}

function pathIn(target: string): string {
  const end = target.search(/[?#]/);
  return (end === -1 ? target : target.slice(0, end)) || '/';
}

/** The name without user and port; the name of a whole URL counts before the Host header. */
function hostIn(authority: string): string {
  const [, host = ''] = /^(?:.*@)?(\[[^\]]*\]|[^:]*)/.exec(authority) ?? [];
  return host.replace(/^\[(.*)\]$|\.$/, '$1').toLowerCase();
}

function translate(path: string): string {
  for (const [alias, service] of ALIASES)
    if (path.startsWith(alias) && (path.length === alias.length || path[alias.length] === '/'))
      return service + path.slice(alias.length);
  return path;
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
