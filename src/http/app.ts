import { Hono, type Context } from 'hono';
import type { Catalog } from '../cache/catalog.ts';
import { CacheError } from '../cache/errors.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Store } from '../cache/store.ts';
import { requireRole } from './access-control.ts';
import { createRecorder, type RequestLog } from './access-log.ts';
import { createBlobRoutes } from './bcache.ts';
import { createDirectoryRoutes } from './bdir.ts';
import { refuse, respondToError } from './error-response.ts';
import { createCatalogRoutes } from './catalog.ts';
import { addHealthRoutes, type HealthParts } from './health.ts';
import type { App, HttpEnv } from './http-env.ts';
import { byMethod, type Handler } from './methods.ts';
import { headFaultOf } from './request-head.ts';
import type { PageParts } from './page/page-parts.ts';
import { addPageRoutes } from './page-routes.ts';
import { createPathOf, type ServiceHosts } from './request-path.ts';
import { createRecordUpload } from './upload-record.ts';

export interface AppParts extends HealthParts {
  readonly store: Store;
  /** What the store has, if the server keeps an index. */
  readonly catalog?: Catalog;
  readonly log: RequestLog;
  /** The section for the slapos.cfg of a node that reaches this cache at `base`, `http://HOST:PORT`. @throws CacheError */
  readonly nodeSection?: (base: string) => Promise<string>;
  /** Whose entries may be uploaded. */
  readonly trusted: TrustedCertificates;
  readonly upload: {
    /** Bytes. */
    readonly maxBlobSize: number;
    readonly allowUnsigned: boolean;
  };
  /** Host names whose root is a service. */
  readonly hosts: ServiceHosts;
  /** Pages for browsers, which also need a catalog. */
  readonly page?: PageParts;
  /** The internal location of an nginx in front that has the blobs, `/…/`. */
  readonly accelRedirect?: string | undefined;
}

/**
 * The whole service (protocol.md, "Two services"). It needs node's request and response: see `createListener`. It has no
 * middleware: a route with a single handler answers without a promise, which makes a lookup twice as fast. Other layouts are only
 * other paths of the same routes: see `createPathOf`.
 */
export function createApp(parts: AppParts): App {
  const { store, catalog, log, version, access, trusted, upload, nodeSection, page } = parts;
  const { blobs, directory } = store;
  // The path as sent: a URL object would resolve "..", which must be refused.
  const pathOf = createPathOf(parts.hosts);
  const app = new Hono<HttpEnv>({
    getPath: (_request, options) => (options?.env as HttpEnv['Bindings']).path,
  });
  app.onError((error, c) => respondToError(error, c, log));
  const notFound: Handler = (c) =>
    refuse(c, 404, 'not found: this is a cache with /bcache/<sha512>, /bdir/<key>, /slapos.cfg and /health');
  app.notFound(notFound);
  const recordUpload = createRecordUpload(store.log, log);
  app.route(
    '/bcache',
    createBlobRoutes(blobs, {
      ...{ access, recordUpload, accelRedirect: parts.accelRedirect },
      maxBlobSize: upload.maxBlobSize,
    }),
  );
  app.route(
    '/bdir',
    createDirectoryRoutes(directory, {
      ...{ access, blobs, trusted, recordUpload },
      allowUnsigned: upload.allowUnsigned,
    }),
  );
  if (catalog !== undefined) app.route('/v1', createCatalogRoutes(catalog, { access, version }));
  addHealthRoutes(app, parts);
  if (nodeSection !== undefined) {
    const section: Handler = async (c) =>
      c.text(await nodeSection(baseOf(c)), 200, { 'Cache-Control': 'no-store' });
    app.all('/slapos.cfg', byMethod({ GET: requireRole(access, 'read', section) }));
  }
  // Errors are pages, too, and have the same style.
  app.all('/-/*', byMethod({ GET: asset(notFound) }));
  if (catalog !== undefined && page !== undefined) {
    const options = {
      ...page,
      access,
      store,
      catalog,
      version,
      nodeSection,
      baseOf,
      lastScrub: parts.lastScrub,
      readiness: parts.readiness,
    };
    addPageRoutes(app, options, (c) =>
      c.env.incoming.headers.accept === undefined ? notFound(c) : c.text(introduction(baseOf(c), version)),
    );
  }
  const recordOf = createRecorder(log, parts.metrics?.observer);
  return {
    fetch(request, { incoming, outgoing }) {
      const path = pathOf({ incoming });
      const env = { incoming, outgoing, path, record: recordOf({ incoming, outgoing }, path) };
      const fault = headFaultOf(incoming);
      if (fault === undefined) return app.fetch(request, env);
      // The end of such a request is uncertain: nothing more may be read from the connection.
      return refuse({ env }, fault.status, fault.text, { Connection: 'close' });
    },
  };
}

/** A file of the pages. */
function asset(notFound: Handler): Handler {
  return async (c) => {
    const { answerAsset } = await import('./page/assets.ts');
    return answerAsset(c.req.path.slice(1)) ?? notFound(c);
  };
}

/** For a person with curl. */
function introduction(base: string, version: string): string {
  return `shacache ${version}: an offline binary cache for SlapOS; browsers show its releases here

blobs      ${base}/bcache/<sha512>
entries    ${base}/bdir/<key>, such as the md5 of a software URL
for nodes  ${base}/slapos.cfg
health     ${base}/health
`;
}

/** The URL of this cache as the client reached it. @throws CacheError `not-found` without a usable Host */
function baseOf({ env: { incoming } }: Context<HttpEnv>): string {
  const { host = '' } = incoming.headers;
  // It becomes part of a file: nothing but the characters of a name, an address and a port.
  if (!/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i.test(host))
    throw new CacheError('not-found', 'the request names no host, so there is no URL for nodes');
  return `${'encrypted' in incoming.socket ? 'https' : 'http'}://${host}`;
}
