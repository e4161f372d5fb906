import { Hono, type Context } from 'hono';
import { createHash } from 'node:crypto';
import type { Directory } from '../cache/directory.ts';
import { CacheError } from '../cache/errors.ts';
import { parseKey } from '../cache/key.ts';
import type { HttpEnv } from './app.ts';
import { matchesEtag } from './etag.ts';
import { decodePathSegment } from './request-path.ts';

/** ShaDir: `/bdir/<key>` (protocol.md, "Requests as they really arrive"). */
export function createDirectoryRoutes(directory: Directory): Hono<HttpEnv> {
  const lookUp = async (c: Context<HttpEnv>): Promise<Response> => {
    const key = parseKey(decodePathSegment(c.req.path, '/bdir/', 'invalid-key'));
    const entries = await directory.entries(key);
    if (entries.length === 0) throw new CacheError('not-found', `no entry for key ${key}`);
    const body = Buffer.from(JSON.stringify(entries.map(({ pair }) => pair)));
    const etag = `"${createHash('sha256').update(body).digest('hex')}"`;
    const headers = { ETag: etag, 'Cache-Control': 'no-cache' };
    if (matchesEtag(c.env.incoming.headers['if-none-match'], etag)) return c.body(null, 304, headers);
    return c.body(body, 200, { ...headers, 'Content-Type': 'application/json' });
  };

  const routes = new Hono<HttpEnv>();
  routes.get('/*', lookUp);
  routes.all('/*', (c) => c.text('only GET and HEAD are known here\n', 405, { Allow: 'GET, HEAD' }));
  return routes;
}
