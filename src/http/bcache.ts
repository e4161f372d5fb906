import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type Context } from 'hono';
import type { Blobs } from '../cache/blobs.ts';
import { parseDigest, type Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import type { HttpEnv } from './http-env.ts';
import { answerFor } from './blob-answer.ts';
import { createBlobPump } from './blob-pump.ts';
import { byMethod } from './methods.ts';
import { announcedLength, receiveBody } from './request-body.ts';
import { decodePathSegment } from './request-path.ts';

export interface BlobRoutesOptions {
  readonly access: AccessControl;
  /** Bytes. */
  readonly maxBlobSize: number;
}

/** ShaCache: `/bcache/<sha512>` (protocol.md, "Requests as they really arrive"). */
export function createBlobRoutes(blobs: Blobs, { access, maxBlobSize }: BlobRoutesOptions): Hono<HttpEnv> {
  const pump = createBlobPump();

  /** Straight from the disk to the socket: a web stream in between would halve the speed. */
  const download = async (c: Context<HttpEnv>): Promise<Response> => {
    const digest = digestOfPath(c);
    const { incoming, outgoing } = c.env;
    const object = await blobs.open(digest);
    if (object === undefined) throw new CacheError('not-found', `no such blob: ${digest}`);
    try {
      const answer = answerFor(digest, object.size, {
        ifMatch: incoming.headers['if-match'],
        ifNoneMatch: incoming.headers['if-none-match'],
        // Ranges are defined for GET alone (RFC 9110, 14.2).
        range: incoming.method === 'GET' ? incoming.headers.range : undefined,
        ifRange: incoming.headers['if-range'],
      });
      const writeHead = (): void => void outgoing.writeHead(answer.status, answer.headers);
      if (answer.part !== undefined && incoming.method !== 'HEAD') {
        await pump.send(object, answer.part, outgoing, writeHead);
      } else {
        writeHead();
        outgoing.end();
      }
    } finally {
      await object.close();
    }
    return RESPONSE_ALREADY_SENT;
  };

  /** Hashed while it streams to the store; visible only when it is whole and right. */
  const upload = async (c: Context<HttpEnv>, announced: Digest | undefined): Promise<Response> => {
    const { incoming, outgoing } = c.env;
    const size = announcedLength(incoming, maxBlobSize);
    const writer = await blobs.create({ digest: announced, size });
    try {
      for await (const chunk of receiveBody(incoming, outgoing, maxBlobSize)) await writer.write(chunk);
      // The disk may need longer to have it all for good than a connection may otherwise be silent.
      incoming.socket.setTimeout(0);
      const { digest } = await writer.commit();
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

function digestOfPath(c: Context<HttpEnv>): Digest {
  return parseDigest(decodePathSegment(c.req.path, '/bcache/', 'invalid-digest'));
}
