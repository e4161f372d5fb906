import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSecureContext } from 'node:tls';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
  type ListMultipartUploadsCommandOutput,
} from '@aws-sdk/client-s3';
import { formatBucketUrl, type BucketPlace } from '../cache/bucket-url.ts';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { ObjectStat } from '../cache/object-storage.ts';
import { hasCode, isNoSuchKey, s3Error } from './s3-error.ts';
import { LimitingHandler } from './s3-handler.ts';

/** How to reach an object store. */
export interface S3Access {
  /** URL; undefined: that of AWS_ENDPOINT_URL, else Amazon's of the region. */
  readonly endpoint?: string | undefined;
  readonly region?: string | undefined;
  /** Whether the bucket stands in the path of each request, not in its host name. */
  readonly pathStyle?: boolean | undefined;
  /** undefined: environment, files and services, as other programs find it. */
  readonly key?: { readonly id: string; readonly secret: string } | undefined;
  /** All CA certificates of the service that count, in PEM; default: Node's. */
  readonly authorities?: readonly string[] | undefined;
  /** Milliseconds without an answer, or without bytes, after which a request is tried again. Default: 30 s */
  readonly patience?: number | undefined;
}

export interface S3Stat extends ObjectStat {
  /** Changes with the object. */
  readonly etag: string;
}

/** A part of an object, which still has to be read. */
export interface S3Body extends S3Stat {
  /** Position of the first byte. */
  readonly start: number;
  readonly body: Readable;
}

/** An unfinished multipart upload. */
export interface S3Upload {
  readonly name: string;
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly begun: number;
}

/** A part of a multipart upload. */
export interface S3Part {
  /** Counted from 1. */
  readonly number: number;
  readonly etag: string;
}

/**
 * The requests that a store sends. Names are relative to its prefix. Each request is tried again after a transient fault,
 * with growing random pauses. Faults are CacheErrors `storage`, `unavailable`, `no-space`, `too-large`.
 */
export interface S3Bucket {
  /** `s3://BUCKET/PREFIX` */
  readonly url: string;
  /** Milliseconds: see `S3Access`. */
  readonly patience: number;
  head(name: string): Promise<S3Stat | undefined>;
  /**
   * Begins to read from `start` to `end`, both included, or to the object's end. The caller reads or destroys the body.
   * @returns undefined if the object is missing; `empty` if it has no byte at `start`
   */
  get(name: string, start: number, end?: number): Promise<S3Body | 'empty' | undefined>;
  /** Writes a small object at once. @param ifAbsent keep an existing object @returns whether it was written */
  put(name: string, bytes: Uint8Array, ifAbsent?: boolean): Promise<boolean>;
  remove(name: string): Promise<void>;
  /** Copies within the object store. @param size of the object in bytes @returns false if it is missing */
  copy(from: string, to: string, size: number): Promise<boolean>;
  /** Names that begin with `prefix`, sorted. With `isFlat` what follows a further `/` is cut off after it. */
  list(prefix: string, isFlat?: boolean): AsyncIterable<string>;
  beginUpload(name: string): Promise<string>;
  uploadPart(upload: Pick<S3Upload, 'name' | 'id'>, number: number, bytes: Uint8Array): Promise<S3Part>;
  /** Makes the object visible. @param size of all parts in bytes */
  completeUpload(
    upload: Pick<S3Upload, 'name' | 'id'>,
    parts: readonly S3Part[],
    size: number,
  ): Promise<void>;
  abortUpload(upload: Pick<S3Upload, 'name' | 'id'>): Promise<void>;
  /** Unfinished uploads whose names begin with `prefix`. */
  uploads(prefix: string): AsyncIterable<S3Upload>;
  /** When the last part of an upload arrived; milliseconds since 1970, undefined without a part. */
  lastPart(upload: Pick<S3Upload, 'name' | 'id'>): Promise<number | undefined>;
}

const PATIENCE_MS = 30_000;
const CONNECT_MS = 5000;
/** A server copies or joins large objects before it answers. */
const COPY_MS = 900_000;
/** The slowest upload that is waited for, in bytes a second. */
const SLOWEST = 100_000;
/** Most requests at a time, other than reads of large objects: a slow client holds the connection of such a read. */
const REQUESTS = 64;
const READS = 1024;
/** The pauses between are random, up to 0.1, 0.2, … 1.6 s, and after SlowDown five times as long. */
const ATTEMPTS = 6;
/** Requests to copy or join at a time. */
const COPIES = 8;
/** The largest object that one request can copy, and the parts of a larger one, in bytes. */
const COPY = { limit: 5 * 1024 ** 3, part: 1024 ** 3 };

/** Connects to nothing yet. */
export function createS3Bucket(place: BucketPlace, access: S3Access, copying = COPY): S3Bucket {
  const { bucket, prefix } = place;
  const patience = access.patience ?? PATIENCE_MS;
  const { AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL } = process.env;
  const endpoint = access.endpoint ?? AWS_ENDPOINT_URL_S3 ?? AWS_ENDPOINT_URL;
  const region = access.region ?? AWS_REGION ?? AWS_DEFAULT_REGION ?? 'us-east-1';
  const where = {
    url: formatBucketUrl(place),
    bucket,
    server: endpoint ?? `Amazon S3 in ${region}`,
    proxyVariable: proxyVariableOf(endpoint),
  };
  // One for all connections: to parse the certificates takes longer than a handshake.
  const secureContext = access.authorities && createSecureContext({ ca: [...access.authorities] });
  /** @param idle milliseconds without a byte after which an answer counts as broken */
  const clientOf = (maxSockets: number, idle: number, requestTimeout = patience): S3Client =>
    new S3Client({
      region,
      ...(endpoint !== undefined && { endpoint }),
      // Few services of one's own have a host name for each bucket.
      forcePathStyle: access.pathStyle ?? endpoint !== undefined,
      ...(access.key !== undefined && {
        credentials: { accessKeyId: access.key.id, secretAccessKey: access.key.secret },
      }),
      maxAttempts: ATTEMPTS,
      // Ceph answers 411 to the chunked bodies that carry checksums. The signature covers the sha256 of what is sent.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      expectContinueHeader: false,
      requestHandler: new LimitingHandler({
        connectionTimeout: Math.min(CONNECT_MS, patience),
        requestTimeout,
        socketTimeout: idle,
        throwOnRequestTimeout: true,
        httpAgent: new HttpAgent({ keepAlive: true, maxSockets }),
        httpsAgent: new HttpsAgent({ keepAlive: true, maxSockets, ...(secureContext && { secureContext }) }),
      }),
    });
  // Its warning about the version of Node would be on every command's screen; package.json says which the program needs.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  const client = clientOf(REQUESTS, patience);
  // A client of ours may take long to take what came.
  const reader = clientOf(READS, 10 * patience);
  const copier = clientOf(COPIES, COPY_MS, COPY_MS);
  const at = (name: string) => ({ Bucket: bucket, Key: prefix + name });
  const sourceOf = (name: string): string =>
    `${bucket}/${(prefix + name).split('/').map(encodeURIComponent).join('/')}`;
  const withUpload = ({ name, id }: Pick<S3Upload, 'name' | 'id'>) => ({ ...at(name), UploadId: id });
  const attempt = async <T>(doing: string, act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (error) {
      throw s3Error(error, doing, where);
    }
  };

  const head: S3Bucket['head'] = (name) =>
    attempt(`can't look at ${name}`, async () => {
      try {
        const { ContentLength = 0, LastModified, ETag } = await client.send(new HeadObjectCommand(at(name)));
        return statOf(ContentLength, LastModified, ETag);
      } catch (error) {
        if (!isNoSuchKey(error)) throw error;
        return undefined;
      }
    });

  const isComplete = async (name: string, size: number): Promise<boolean> =>
    (await head(name))?.size === size;

  const completeUpload: S3Bucket['completeUpload'] = (upload, parts, size) =>
    attempt(`can't write ${upload.name}`, async () => {
      const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: etag }));
      try {
        const command = new CompleteMultipartUploadCommand({
          ...withUpload(upload),
          MultipartUpload: { Parts },
        });
        const { ETag } = await copier.send(command);
        confirmed(ETag, `can't write ${upload.name}`);
      } catch (error) {
        // An attempt may have succeeded although its answer was lost.
        if (!hasCode(error, 'NoSuchUpload') || !(await isComplete(upload.name, size))) throw error;
      }
    });

  const abortUpload: S3Bucket['abortUpload'] = (upload) =>
    attempt(`can't give up the upload of ${upload.name}`, async () => {
      try {
        await client.send(new AbortMultipartUploadCommand(withUpload(upload)));
      } catch (error) {
        if (!hasCode(error, 'NoSuchUpload')) throw error;
      }
    });

  const beginUpload: S3Bucket['beginUpload'] = (name) =>
    attempt(`can't write ${name}`, async () => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand(at(name)));
      if (UploadId === undefined) throw unexpected(`can't write ${name}`, 'an upload without an id');
      return UploadId;
    });

  const copyInParts = async (from: string, to: string, size: number): Promise<void> => {
    const upload = { name: to, id: await beginUpload(to) };
    try {
      const parts: S3Part[] = [];
      for (let start = 0; start < size; start += copying.part) {
        const range = `bytes=${start}-${Math.min(start + copying.part, size) - 1}`;
        const number = parts.length + 1;
        const { CopyPartResult } = await copier.send(
          new UploadPartCopyCommand({
            ...withUpload(upload),
            ...{ PartNumber: number, CopySource: sourceOf(from), CopySourceRange: range },
          }),
        );
        parts.push({ number, etag: confirmed(CopyPartResult?.ETag, `can't copy ${from} to ${to}`) });
      }
      await completeUpload(upload, parts, size);
    } catch (error) {
      await abortUpload(upload).catch(() => undefined); // The first fault counts; gc aborts what stays.
      throw error;
    }
  };

  /** The listed name without the prefix. @throws CacheError `storage`: it does not begin with `start` */
  function nameOf(doing: string, start: string, key = ''): string {
    if (key.startsWith(prefix + start)) return key.slice(prefix.length);
    throw unexpected(doing, `a name of another place: ${quoteBriefly(key)}`);
  }

  /** The mark of the next page; undefined after the last one. @throws CacheError `storage`: the list does not go on */
  function nextOf(doing: string, last: string | undefined, next: string | undefined): string | undefined {
    if (next !== undefined && next === last) throw unexpected(doing, 'the same page again');
    return next;
  }

  function unexpected(doing: string, what: string): CacheError {
    return new CacheError('storage', `${doing} of ${where.url}: ${where.server} answered with ${what}`);
  }

  /** Proves that an object store has written: a web server in between may answer 200 to anything. */
  function confirmed(etag: string | undefined, doing: string): string {
    if (etag === undefined) throw unexpected(doing, 'no ETag');
    return etag;
  }

  return {
    url: where.url,
    patience,
    head,
    beginUpload,
    completeUpload,
    abortUpload,

    get: (name, start, end) =>
      attempt(`can't read ${name}`, async () => {
        const command = new GetObjectCommand({ ...at(name), Range: `bytes=${start}-${end ?? ''}` });
        try {
          const answer = await (end === undefined ? reader : client).send(command);
          const { Body, ContentLength = 0, ContentRange, LastModified, ETag } = answer;
          if (!(Body instanceof Readable)) throw unexpected(`can't read ${name}`, 'no body');
          const [, first = '0', total = String(ContentLength)] =
            /^bytes (\d+)-\d+\/(\d+)$/.exec(ContentRange ?? '') ?? [];
          if (Number(first) !== start || (end !== undefined && ContentLength > end - start + 1)) {
            Body.destroy();
            throw unexpected(`can't read ${name}`, 'another range of it');
          }
          return { ...statOf(Number(total), LastModified, ETag), start, body: Body };
        } catch (error) {
          if (hasCode(error, 'InvalidRange')) return 'empty';
          if (!isNoSuchKey(error)) throw error;
          return undefined;
        }
      }),

    put: (name, bytes, ifAbsent = false) =>
      attempt(`can't write ${name}`, async () => {
        const object = { ...at(name), Body: bytes, ContentLength: bytes.byteLength };
        const options = { requestTimeout: timeFor(bytes.byteLength) };
        const write = async (condition: { readonly IfNoneMatch?: string }): Promise<void> => {
          const { ETag } = await client.send(new PutObjectCommand({ ...object, ...condition }), options);
          confirmed(ETag, `can't write ${name}`);
        };
        for (let attempt = 1; ; attempt++) {
          try {
            await write(ifAbsent ? { IfNoneMatch: '*' } : {});
            return true;
          } catch (error) {
            if (hasCode(error, 'PreconditionFailed')) return false;
            // Another writer, which may still fail, was at it at the same time.
            if (hasCode(error, 'ConditionalRequestConflict') && attempt < ATTEMPTS) {
              await sleep(Math.random() * 100 * 2 ** (attempt - 1));
              continue;
            }
            if (!ifAbsent || !hasCode(error, 'NotImplemented')) throw error;
            await write({});
            return true;
          }
        }
      }),

    remove: (name) =>
      attempt(`can't remove ${name}`, async () => {
        await client.send(new DeleteObjectCommand(at(name)));
      }),

    copy: (from, to, size) =>
      attempt(`can't copy ${from} to ${to}`, async () => {
        try {
          if (size > copying.limit) await copyInParts(from, to, size);
          else {
            const command = new CopyObjectCommand({ ...at(to), CopySource: sourceOf(from) });
            const { CopyObjectResult } = await copier.send(command);
            confirmed(CopyObjectResult?.ETag, `can't copy ${from} to ${to}`);
          }
          return true;
        } catch (error) {
          if (!isNoSuchKey(error)) throw error;
          return false;
        }
      }),

    async *list(start, isFlat = false) {
      let token: string | undefined;
      do {
        const doing = `can't list ${start}`;
        const page = await attempt(doing, () =>
          client.send(
            new ListObjectsV2Command({
              ...{ Bucket: bucket, Prefix: prefix + start, ContinuationToken: token },
              ...(isFlat && { Delimiter: '/' }),
            }),
          ),
        );
        const { Contents = [], CommonPrefixes = [] } = page;
        const found = [...Contents.map(({ Key }) => Key), ...CommonPrefixes.map(({ Prefix }) => Prefix)];
        for (const name of found) yield nameOf(doing, start, name);
        token = nextOf(doing, token, page.IsTruncated ? page.NextContinuationToken : undefined);
      } while (token !== undefined);
    },

    uploadPart: ({ name, id }, number, bytes) =>
      attempt(`can't write ${name}`, async () => {
        const command = new UploadPartCommand({
          ...withUpload({ name, id }),
          ...{ PartNumber: number, Body: bytes, ContentLength: bytes.byteLength },
        });
        const { ETag } = await client.send(command, { requestTimeout: timeFor(bytes.byteLength) });
        return { number, etag: confirmed(ETag, `can't write ${name}`) };
      }),

    async *uploads(start) {
      const doing = `can't list the uploads`;
      let key: string | undefined;
      let id: string | undefined;
      let mark: string | undefined;
      do {
        const from = { KeyMarker: key, UploadIdMarker: id };
        const page: ListMultipartUploadsCommandOutput = await attempt(doing, () =>
          client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix + start, ...from })),
        );
        for (const { Key, UploadId = '', Initiated } of page.Uploads ?? [])
          yield { name: nameOf(doing, start, Key), id: UploadId, begun: Initiated?.getTime() ?? 0 };
        key = page.NextKeyMarker;
        id = page.NextUploadIdMarker;
        mark = nextOf(doing, mark, page.IsTruncated ? JSON.stringify([key, id]) : undefined);
      } while (mark !== undefined);
    },

    lastPart: (upload) => {
      const doing = `can't look at the upload of ${upload.name}`;
      return attempt(doing, async () => {
        let last: number | undefined;
        let marker: string | undefined;
        do {
          const page = await client.send(
            new ListPartsCommand({ ...withUpload(upload), ...(marker && { PartNumberMarker: marker }) }),
          );
          for (const { LastModified } of page.Parts ?? [])
            last = Math.max(last ?? 0, LastModified?.getTime() ?? 0);
          marker = nextOf(doing, marker, page.IsTruncated ? page.NextPartNumberMarker : undefined);
        } while (marker !== undefined);
        return last;
      });
    },
  };

  /** Milliseconds for a request that sends so many bytes. */
  function timeFor(bytes: number): number {
    return patience + (bytes / SLOWEST) * 1000;
  }
}

/** The client knows no proxies. */
function proxyVariableOf(endpoint = ''): string | undefined {
  const name = endpoint.startsWith('http:') ? 'http_proxy' : 'https_proxy';
  return [name, name.toUpperCase()].find((variable) => (process.env[variable] ?? '') !== '');
}

function statOf(size: number, modified: Date | undefined, etag: string | undefined): S3Stat {
  return { size, modified: modified?.getTime() ?? 0, etag: etag ?? '' };
}
