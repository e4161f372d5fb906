import type { HttpBindings } from '@hono/node-server';
import { Hono } from 'hono';
import type { Blobs } from '../cache/blobs.ts';
import type { Directory } from '../cache/directory.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { AccessControl } from './access-control.ts';
import { logRequests, type RequestLog, type RequestVariables } from './access-log.ts';
import { createBlobRoutes } from './bcache.ts';
import { createDirectoryRoutes } from './bdir.ts';
import { respondToError } from './error-response.ts';
import { requestPath } from './request-path.ts';

/** What the routes share: node's own request and response, and what the log line of the request tells. */
export interface HttpEnv {
  Bindings: HttpBindings;
  Variables: RequestVariables;
}

export interface AppParts {
  readonly blobs: Blobs;
  readonly directory: Directory;
  readonly log: RequestLog;
  /** Version of this program, shown by `/health`. */
  readonly version: string;
  /** Rejects while the store can't be used. */
  readonly checkStore: () => Promise<void>;
  readonly access: AccessControl;
  /** Whose entries may be uploaded. */
  readonly trusted: TrustedCertificates;
  readonly upload: {
    /** Bytes. */
    readonly maxBlobSize: number;
    readonly allowUnsigned: boolean;
  };
}

/** The whole service (protocol.md, "Two services"). It needs node's request and response: see `createListener`. */
export function createApp({
  blobs,
  directory,
  log,
  version,
  checkStore,
  access,
  trusted,
  upload,
}: AppParts): Hono<HttpEnv> {
  // The path as it came: a URL object would resolve ".." before anybody could refuse it.
  const app = new Hono<HttpEnv>({ getPath: (_request, options) => requestPath(options?.env) });
  app.use(logRequests(log));
  app.onError((error, c) => respondToError(error, c, log));
  app.notFound((c) =>
    c.text('not found: this is a cache with /bcache/<sha512>, /bdir/<key> and /health\n', 404),
  );
  app.route('/bcache', createBlobRoutes(blobs, { access, maxBlobSize: upload.maxBlobSize }));
  app.route(
    '/bdir',
    createDirectoryRoutes(directory, { access, blobs, trusted, allowUnsigned: upload.allowUnsigned }),
  );
  app.get('/health', async (c) => {
    await checkStore();
    return c.json({ status: 'ok', version });
  });
  return app;
}
