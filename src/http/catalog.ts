import { Hono, type Context } from 'hono';
import type { z } from 'zod';
import type { Catalog, CatalogEntry, CatalogRelease, CatalogSource } from '../cache/catalog.ts';
import { CacheError } from '../cache/errors.ts';
import { parseKey } from '../cache/key.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import { CATALOG_FORMAT, catalogQuery, type catalogAnswer, type releaseAnswer } from './catalog-schema.ts';
import { refuse } from './error-response.ts';
import { matchesEtag } from './etag.ts';
import type { HttpEnv } from './http-env.ts';
import { byMethod, type Handler } from './methods.ts';
import { openApiDocument } from './openapi.ts';
import { decodePathSegment } from './request-path.ts';

export interface CatalogRoutesOptions {
  readonly access: AccessControl;
  /** Version of this program. */
  readonly version: string;
}

type CatalogAnswer = z.infer<typeof catalogAnswer>;
type ReleaseAnswer = z.infer<typeof releaseAnswer>;

/** The catalog as JSON, below `/v1`; see docs/catalog.md. */
export function createCatalogRoutes(
  catalog: Catalog,
  { access, version }: CatalogRoutesOptions,
): Hono<HttpEnv> {
  const list: Handler = (c) => {
    const { kind, q, name, os, multiarch, since, sort, order, limit, cursor } = parseQuery(c);
    const query = {
      ...{ sort, isDescending: order === 'desc', limit: Number(limit) },
      ...(q !== undefined && { text: q }),
      ...(name !== undefined && { name }),
      ...(os !== undefined && { os }),
      ...(multiarch !== undefined && { multiarch }),
      ...(since !== undefined && { since: new Date(since) }),
      ...(cursor !== undefined && { cursor }),
    };
    return answer(c, () => {
      const { isComplete, releases, sources, entries, blobs, size } = catalog.state;
      const page = kind === 'releases' ? catalog.releases(query) : catalog.sources(query);
      return {
        ...{ format: CATALOG_FORMAT, complete: isComplete },
        ...{ counts: { releases, sources, entries, blobs, size }, total: page.total, cursor: page.cursor },
        [kind]: page.items.map((item) => ('builds' in item ? showRelease(item) : showSource(item))),
      } satisfies CatalogAnswer;
    });
  };

  const one: Handler = (c) => {
    const key = parseKey(decodePathSegment(c.req.path, '/v1/releases/', 'invalid-key'));
    const release = catalog.release(key);
    const { isComplete, fault } = catalog.state;
    if (release === undefined && !isComplete && fault === undefined)
      return refuse(c, 503, 'the index of the store is not complete yet; try again later');
    return answer(c, () => {
      if (release === undefined) throw new CacheError('not-found', `no release with key ${key}`);
      return { format: CATALOG_FORMAT, release: showRelease(release) } satisfies ReleaseAnswer;
    });
  };

  /** @param make only called if the client lacks the answer */
  const answer = (c: Context<HttpEnv>, make: () => object): Response | Promise<Response> => {
    const { fault, version: content } = catalog.state;
    if (fault !== undefined) return refuse(c, 503, fault);
    // An answer depends on its URL and on the content alone.
    const etag = `"${content}"`;
    const headers = { ETag: etag, 'Cache-Control': 'no-cache' };
    if (matchesEtag(c.env.incoming.headers['if-none-match'], etag))
      return new Response(null, { status: 304, headers });
    return c.json(make(), 200, headers);
  };

  const document = JSON.stringify(openApiDocument(version));
  const api: Handler = () =>
    new Response(document, { headers: { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' } });

  const routes = new Hono<HttpEnv>();
  routes.all('/_catalog', byMethod({ GET: requireRole(access, 'read', list) }));
  routes.all('/releases/*', byMethod({ GET: requireRole(access, 'read', one) }));
  routes.all('/openapi.json', byMethod({ GET: requireRole(access, 'read', api) }));
  return routes;
}

/** @throws CacheError `usage` */
function parseQuery({ env: { incoming } }: Context<HttpEnv>): z.output<typeof catalogQuery> {
  const { url = '' } = incoming;
  const start = url.indexOf('?');
  const given = new URLSearchParams(start === -1 ? '' : url.slice(start + 1));
  const names = [...given.keys()];
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new CacheError('usage', `${twice}: given twice`);
  const known = Object.keys(catalogQuery.shape);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw new CacheError(
      'usage',
      `unknown parameter ${JSON.stringify(unknown)}; known are ${known.join(', ')}`,
    );
  const parsed = catalogQuery.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const name = String(parsed.error.issues[0]?.path[0]);
  throw new CacheError('usage', `${name}: ${EXPECTED[name] ?? 'wrong value'}`);
}

/** What to write, by parameter. */
const EXPECTED: Readonly<Record<string, string>> = {
  kind: 'write releases or sources',
  q: 'too long; write 1000 characters at most',
  since: 'not a time; write 2026-11-20 or 2026-11-20T21:34:00Z',
  sort: 'write name, size or received',
  order: 'write asc or desc',
  limit: 'not a number from 1 to 1000',
  cursor: 'too long; take it from the page before',
};

function showRelease({ url, key, name, version, builds }: CatalogRelease) {
  return {
    ...{ url, key, name, version },
    builds: builds.flatMap(({ platform, ...entry }) =>
      platform === undefined ? [] : [{ platform: showPlatform(platform), ...showBlob(entry) }],
    ),
  };
}

function showSource({ key, entries }: CatalogSource) {
  return {
    key,
    entries: entries.map(({ url, basename, platform, ...entry }) => ({
      ...{ url, basename, platform: platform && showPlatform(platform) },
      ...showBlob(entry),
    })),
  };
}

function showPlatform({ multiarch, os: [id, version, codename] }: NonNullable<CatalogEntry['platform']>) {
  return { multiarch, os: [id, version, codename] as [string, string, string] };
}

function showBlob({
  sha512,
  size,
  received,
  signer,
}: Pick<CatalogEntry, 'sha512' | 'size' | 'received' | 'signer'>) {
  return { sha512, size, received: received.toISOString(), signer };
}
