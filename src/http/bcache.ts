import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono, type Context } from 'hono';
import parseRange from 'range-parser';
import type { Blobs } from '../cache/blobs.ts';
import { parseDigest, type Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { OpenObject } from '../cache/object-storage.ts';
import type { HttpEnv } from './app.ts';
import { createBlobPump } from './blob-pump.ts';
import { matchesEtag } from './etag.ts';
import { decodePathSegment } from './request-path.ts';

/** ShaCache: `/bcache/<sha512>` (protocol.md, "Requests as they really arrive"). */
export function createBlobRoutes(blobs: Blobs): Hono<HttpEnv> {
  const pump = createBlobPump();

  const download = async (c: Context<HttpEnv>): Promise<Response> => {
    const digest = parseDigest(decodePathSegment(c.req.path, '/bcache/', 'invalid-digest'));
    const { incoming, outgoing } = c.env;
    const object = await blobs.open(digest);
    if (object === undefined) throw new CacheError('not-found', `no such blob: ${digest}`);
    try {
      const answer = answerFor(digest, object, {
        ifNoneMatch: incoming.headers['if-none-match'],
        // Ranges are defined for GET alone (RFC 9110, 14.2).
        range: incoming.method === 'GET' ? incoming.headers.range : undefined,
        ifRange: incoming.headers['if-range'],
      });
      outgoing.writeHead(answer.status, answer.headers);
      if (answer.part === undefined || incoming.method === 'HEAD') outgoing.end();
      else await pump.send(object, answer.part, outgoing);
    } finally {
      await object.close();
    }
    return RESPONSE_ALREADY_SENT;
  };

  const routes = new Hono<HttpEnv>();
  routes.get('/*', download);
  routes.all('/*', (c) => c.text('only GET and HEAD are known here\n', 405, { Allow: 'GET, HEAD' }));
  return routes;
}

interface Conditions {
  readonly ifNoneMatch: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | string[] | undefined;
}

interface BlobAnswer {
  readonly status: 200 | 206 | 304 | 416;
  readonly headers: Record<string, string | number>;
  /** The bytes to send, both ends included; undefined where there is no body. */
  readonly part?: { readonly start: number; readonly end: number };
}

function answerFor(
  digest: Digest,
  { size }: OpenObject,
  { ifNoneMatch, range, ifRange }: Conditions,
): BlobAnswer {
  const etag = `"${digest}"`;
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Accept-Ranges': 'bytes',
    ETag: etag,
    // A digest names the same bytes for ever.
    'Cache-Control': 'public, max-age=31536000, immutable',
  };
  if (matchesEtag(ifNoneMatch, etag)) return { status: 304, headers };
  const whole: BlobAnswer = {
    status: 200,
    headers: { ...headers, 'Content-Length': size },
    part: { start: 0, end: size - 1 },
  };
  if (range === undefined || (ifRange !== undefined && ifRange !== etag)) return whole;
  const ranges = parseRange(size, range);
  if (ranges === -1) {
    return {
      status: 416,
      headers: { ...headers, 'Content-Range': `bytes */${size}`, 'Content-Length': 0 },
    };
  }
  // What isn't understood, and several ranges, may be answered with everything (RFC 9110, 14.2).
  if (ranges === -2 || ranges.type !== 'bytes' || ranges.length !== 1 || ranges[0] === undefined)
    return whole;
  const [{ start, end }] = ranges;
  return {
    status: 206,
    headers: {
      ...headers,
      'Content-Range': `bytes ${start}-${end}/${size}`,
      'Content-Length': end - start + 1,
    },
    part: { start, end },
  };
}
