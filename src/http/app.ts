import { Hono, type Context } from 'hono';
import { CacheError } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Store } from '../cache/store.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import { createRecorder, type RequestLog } from './access-log.ts';
import { createBlobRoutes } from './bcache.ts';
import { createDirectoryRoutes } from './bdir.ts';
import { refuse, respondToError } from './error-response.ts';
import type { App, HttpEnv } from './http-env.ts';
import { byMethod, type Handler } from './methods.ts';
import { headFaultOf } from './request-head.ts';
import { createPathOf, type ServiceHosts } from './request-path.ts';
import { createRecordUpload } from './upload-record.ts';

export interface AppParts {
  readonly store: Store;
  readonly log: RequestLog;
  /** Version of this program, shown by `/health`. */
  readonly version: string;
  /** Commit that this program was built from, shown by `/health`. */
  readonly commit?: string | undefined;
  /** When the whole store was checked last, and how much was wrong; shown by `/health`. */
  readonly lastScrub?: () => { readonly finished: string; readonly findings: number } | undefined;
  /** Expiry and fault of the server's certificate; shown by `/health`. */
  readonly tls?: () => { readonly expires: string; readonly fault?: string } | undefined;
  /** The section for the slapos.cfg of a node that reaches this cache at `base`, `http://HOST:PORT`. @throws CacheError */
  readonly nodeSection?: (base: string) => Promise<string>;
  readonly access: AccessControl;
  /** Whose entries may be uploaded. */
  readonly trusted: TrustedCertificates;
  readonly upload: {
    /** Bytes. */
    readonly maxBlobSize: number;
    readonly allowUnsigned: boolean;
  };
  /** Host names whose root is a service. */
  readonly hosts: ServiceHosts;
}

/**
 * The whole service (protocol.md, "Two services"). It needs node's request and response: see `createListener`. It has no
 * middleware: a route with a single handler answers without a promise, which makes a lookup twice as fast. Other layouts are only
 * other paths of the same routes: see `createPathOf`.
 */
export function createApp(parts: AppParts): App {
  const { store, log, version, commit, lastScrub, access, trusted, upload, nodeSection } = parts;
  const { blobs, directory } = store;
  // The path as sent: a URL object would resolve "..", which must be refused.
  const pathOf = createPathOf(parts.hosts);
  const app = new Hono<HttpEnv>({ getPath: (_request, options) => pathOf(options?.env) });
  app.onError((error, c) => respondToError(error, c, log));
  app.notFound((c) =>
    refuse(c, 404, 'not found: this is a cache with /bcache/<sha512>, /bdir/<key>, /slapos.cfg and /health'),
  );
  const recordUpload = createRecordUpload(store.log, log);
  app.route('/bcache', createBlobRoutes(blobs, { access, maxBlobSize: upload.maxBlobSize, recordUpload }));
  app.route(
    '/bdir',
    createDirectoryRoutes(directory, {
      ...{ access, blobs, trusted, recordUpload },
      allowUnsigned: upload.allowUnsigned,
    }),
  );
  const health: Handler = async (c) => {
    await store.storage.stat(STORE_FILE);
    const node = process.versions.node;
    const report = { status: 'ok', version, commit, node, scrub: lastScrub?.(), tls: parts.tls?.() };
    return c.json(report, 200, { 'Cache-Control': 'no-store' });
  };
  app.all('/health', byMethod({ GET: health }));
  if (nodeSection !== undefined) {
    const section: Handler = async (c) =>
      c.text(await nodeSection(baseOf(c)), 200, { 'Cache-Control': 'no-store' });
    app.all('/slapos.cfg', byMethod({ GET: requireRole(access, 'read', section) }));
  }
  const recordOf = createRecorder(log);
  return {
    fetch(request, { incoming, outgoing }) {
      const env = { incoming, outgoing, record: recordOf({ incoming, outgoing }) };
      const fault = headFaultOf(incoming);
      if (fault === undefined) return app.fetch(request, env);
      // The end of such a request is uncertain: nothing more may be read from the connection.
      return refuse({ env }, fault.status, fault.text, { Connection: 'close' });
    },
  };
}

/** The URL of this cache as the client reached it. @throws CacheError `not-found` without a usable Host */
function baseOf({ env: { incoming } }: Context<HttpEnv>): string {
  const { host = '' } = incoming.headers;
  // It becomes part of a file: nothing but the characters of a name, an address and a port.
  if (!/^(?:[\w.-]+|\[[\da-f:.]+\])(?::\d+)?$/i.test(host))
    throw new CacheError('not-found', 'the request names no host, so there is no URL for nodes');
  return `${'encrypted' in incoming.socket ? 'https' : 'http'}://${host}`;
}
