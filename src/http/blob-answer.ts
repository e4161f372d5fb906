import type { Digest } from '../cache/digest.ts';
import { allowsEtag, matchesEtag } from './etag.ts';
import { parseRange, type ByteRange } from './range.ts';

/** The conditional and range headers of a request. */
export interface Conditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | string[] | undefined;
  /** Whether anonymous users may read the blob; otherwise shared caches must not keep it. */
  readonly isPublic: boolean;
}

/** The head of the answer to a blob's request, and the range of its body. */
export interface BlobAnswer {
  readonly status: 200 | 206 | 304 | 412 | 416;
  readonly headers: Record<string, string>;
  /** The bytes to send, both ends included; undefined if there is no body. */
  readonly part?: ByteRange;
}

/** Conditions and ranges of RFC 9110, 13 and 14. @param size of the blob in bytes */
export function answerFor(
  digest: Digest,
  size: number,
  { ifMatch, ifNoneMatch, range, ifRange, isPublic }: Conditions,
): BlobAnswer {
  const etag = `"${digest}"`;
  const always = { 'Content-Type': 'application/octet-stream', 'Accept-Ranges': 'bytes', ETag: etag };
  if (!allowsEtag(ifMatch, etag)) return { status: 412, headers: { ...always, 'Content-Length': '0' } };
  // A digest always names the same bytes.
  const lifetime = `${isPublic ? 'public' : 'private'}, max-age=31536000, immutable`;
  const headers = { ...always, 'Cache-Control': lifetime };
  if (matchesEtag(ifNoneMatch, etag)) return { status: 304, headers };
  const part =
    range === undefined || (ifRange !== undefined && ifRange !== etag) ? undefined : parseRange(range, size);
  if (part === undefined) {
    return {
      status: 200,
      headers: { ...headers, 'Content-Length': String(size) },
      part: { start: 0, end: size - 1 },
    };
  }
  if (part === 'unsatisfiable') {
    return {
      status: 416,
      headers: { ...always, 'Content-Length': '0', 'Content-Range': `bytes */${size}` },
    };
  }
  const { start, end } = part;
  return {
    status: 206,
    headers: {
      ...headers,
      'Content-Range': `bytes ${start}-${end}/${size}`,
      'Content-Length': String(end - start + 1),
    },
    part,
  };
}
