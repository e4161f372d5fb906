import parseRange from 'range-parser';
import type { Digest } from '../cache/digest.ts';
import { matchesEtag } from './etag.ts';

/** What a request says about which bytes it wants, and whether it wants any. */
export interface Conditions {
  readonly ifNoneMatch: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | string[] | undefined;
}

/** The head of the answer to a blob's request, and which of its bytes follow. */
export interface BlobAnswer {
  readonly status: 200 | 206 | 304 | 416;
  readonly headers: Record<string, string | number>;
  /** The bytes to send, both ends included; undefined where there is no body. */
  readonly part?: { readonly start: number; readonly end: number };
}

/** Conditions and ranges of RFC 9110, 13 and 14. @param size of the blob in bytes */
export function answerFor(
  digest: Digest,
  size: number,
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
