import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type Context } from 'hono';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Blobs } from '../cache/blobs.ts';
import type { CheckedObject } from '../cache/checked-object.ts';
import { parseDigest, type Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import type { HttpEnv } from './http-env.ts';
import { answerFor, type Conditions } from './blob-answer.ts';
import { createBlobPump } from './blob-pump.ts';
import { createBlobSizes } from './blob-sizes.ts';
import { byMethod } from './methods.ts';
import { announcedLength, receiveBody } from './request-body.ts';
import { decodePathSegment } from './request-path.ts';
import type { RecordUpload } from './upload-record.ts';

export interface BlobRoutesOptions {
  readonly access: AccessControl;
  /** Bytes. */
  readonly maxBlobSize: number;
  readonly recordUpload: RecordUpload;
  /** The internal location of an nginx in front that has the blobs, `/…/`. */
  readonly accelRedirect?: string | undefined;
}

/** ShaCache: `/bcache/<sha512>` (protocol.md, "Requests as they really arrive"). */
export function createBlobRoutes(
  blobs: Blobs,
  { access, maxBlobSize, recordUpload, accelRedirect }: BlobRoutesOptions,
): Hono<HttpEnv> {
  const pump = createBlobPump();
  const sizes = createBlobSizes(blobs);
  const isPublic = access.anonymous !== undefined;
  const limit = { bytes: maxBlobSize, advice: '; in config.ini, raise max-blob-size in [upload]' };

  /** Opens the blob only if its size isn't enough for the answer. */
  const download = (c: Context<HttpEnv>): Response | Promise<Response> => {
    const digest = digestOfPath(c);
    const { method, headers } = c.env.incoming;
    if (method === 'GET' && headers['if-none-match'] === undefined && !isSentByNginx(c))
      return openAndSend(c, digest);
    const size = sizes.get(digest);
    return size instanceof Promise ? size.then((found) => tell(c, digest, found)) : tell(c, digest, size);
  };

  const tell = (
    c: Context<HttpEnv>,
    digest: Digest,
    size: number | undefined,
  ): Response | Promise<Response> => {
    if (size === undefined) throw notFound(digest);
    const { status, headers, part } = answerFor(digest, size, conditionsOf(c, isPublic));
    if (part !== undefined && accelRedirect !== undefined && isSentByNginx(c)) {
      // nginx cuts ranges itself, and has the length of its file. It would send a Cache-Control of this answer with its own
      // refusals, too.
      const { 'Content-Type': type = '', 'Cache-Control': lifetime = '' } = headers;
      return c.body(null, 200, {
        ...{ 'Content-Type': type, 'X-Accel-Cache-Control': lifetime },
        'X-Accel-Redirect': accelRedirect + digest,
      });
    }
    return part === undefined || c.env.incoming.method === 'HEAD'
      ? new Response(null, { status, headers })
      : openAndSend(c, digest);
  };

  /** Other clients of the server would get an empty body: nginx says that it asks. */
  const isSentByNginx = ({ env: { incoming } }: Context<HttpEnv>): boolean =>
    accelRedirect !== undefined &&
    incoming.method === 'GET' &&
    incoming.headers['x-sendfile-type'] === 'X-Accel-Redirect';

  const openAndSend = async (c: Context<HttpEnv>, digest: Digest): Promise<Response> => {
    const object = await blobs.open(digest);
    if (object === undefined) throw notFound(digest);
    let checked: CheckedObject | undefined;
    try {
      const { status, headers, part } = answerFor(digest, object.size, conditionsOf(c, isPublic));
      if (part === undefined) return new Response(null, { status, headers });
      const { outgoing } = c.env;
      // Directly from disk to socket: a web stream would halve the speed.
      if (object.isRemote && status === 200) checked = blobs.checked(digest, object);
      await pump.send(checked ?? object, part, outgoing, () => void outgoing.writeHead(status, headers));
      return RESPONSE_ALREADY_SENT;
    } finally {
      checked?.close();
      await object.close();
    }
  };

  /** Hashes the blob while it streams to the store; it becomes visible only when complete and correct. */
  const upload = async (c: Context<HttpEnv>, announced: Digest | undefined): Promise<Response> => {
    const { incoming, outgoing } = c.env;
    const size = announcedLength(incoming, limit);
    const { user, remote } = c.env.record;
    const holder = user === undefined ? `address ${remote}` : `user ${user}`;
    const writer = await blobs.create({ digest: announced, size, holder });
    try {
      for await (const chunks of receiveBody(incoming, outgoing, limit)) await writer.write(chunks);
      liftIdleLimit(incoming, outgoing);
      const { digest, size: received } = await writer.commit();
      sizes.forget(digest);
      await recordUpload(c, { sha512: digest, size: received });
      return c.body(digest, 201, { 'Content-Type': 'text/plain' });
    } finally {
      await writer.abort();
    }
  };

  const collection = byMethod({ POST: requireRole(access, 'upload', (c) => upload(c, undefined)) });
  const blob = byMethod({
    GET: requireRole(access, 'read', download),
    PUT: requireRole(access, 'upload', (c) => upload(c, digestOfPath(c))),
  });
  const routes = new Hono<HttpEnv>();
  routes.all('/*', (c) => (c.req.path.length <= '/bcache/'.length ? collection(c) : blob(c)));
  return routes;
}

/** Lifts the connection's idle limit until the answer: the disk may need longer to make a blob durable. */
function liftIdleLimit({ socket }: IncomingMessage, outgoing: ServerResponse): void {
  const { timeout = 0 } = socket;
  socket.setTimeout(0);
  // Before node's listener, which sets a shorter limit for an idle connection.
  outgoing.prependOnceListener('finish', () => socket.setTimeout(timeout));
}

function conditionsOf({ env: { incoming } }: Context<HttpEnv>, isPublic: boolean): Conditions {
  const { headers, method } = incoming;
  return {
    ifMatch: headers['if-match'],
    ifNoneMatch: headers['if-none-match'],
    // Ranges are only defined for GET (RFC 9110, 14.2).
    range: method === 'GET' ? headers.range : undefined,
    ifRange: headers['if-range'],
    isPublic,
  };
}

function notFound(digest: Digest): CacheError {
  return new CacheError('not-found', `no such blob: ${digest}`);
}

function digestOfPath(c: Context<HttpEnv>): Digest {
  return parseDigest(decodePathSegment(c.req.path, '/bcache/', 'invalid-digest'));
}
