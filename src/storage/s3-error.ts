import {
  CacheError,
  messageOf,
  StoreUnavailable,
  systemCode,
  throwProgrammingError,
} from '../cache/errors.ts';
import { formatTime } from '../cache/time.ts';

/** The place of a fault, for messages. */
export interface S3Place {
  /** `s3://BUCKET/PREFIX` */
  readonly url: string;
  readonly bucket: string;
  /** URL of the object store, or its region. */
  readonly server: string;
  /** The environment variable of a proxy that other programs would use. */
  readonly proxyVariable: string | undefined;
}

/** The parts of an error of the client that tell what happened. */
interface Answer {
  /** `NoSuchKey`, `SlowDown`; of a HEAD, which has no body, only the client's own name. */
  readonly code: string;
  readonly status: number | undefined;
}

/** Bytes of an answer other than an object; a page of a list has 1000 names of 1 KiB. */
export const ANSWER_LIMIT = 16 * 1024 ** 2;

/** No S3 service gives such an answer, which the client would keep in memory. */
export class AnswerTooLarge extends Error {
  override readonly name = 'AnswerTooLarge';
}

/** Whether the object store says that it has no object of the name; a missing bucket is no miss. */
export function isNoSuchKey(error: unknown): boolean {
  const { code, status } = answerOf(error);
  return status === 404 && (code === 'NoSuchKey' || code === 'NotFound');
}

export function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(answerOf(error).code);
}

/**
 * Turns an error of the client into one that a person can act on; returns a CacheError unchanged.
 * @param doing what failed, such as `can't read bcache/…`
 * @throws the error itself if it is a programming error
 */
export function s3Error(error: unknown, doing: string, place: S3Place): CacheError {
  if (error instanceof CacheError) return error;
  const { kind, what } = faultOf(error, place);
  const message = `${doing} of ${place.url}: ${what}`;
  return kind === 'unavailable'
    ? new StoreUnavailable(place.url, message, { cause: error })
    : new CacheError(kind, message, { cause: error });
}

interface Fault {
  readonly kind: 'storage' | 'unavailable' | 'no-space' | 'too-large';
  readonly what: string;
}

const CHECK_KEY =
  'check access-key-id and secret-access-key in [store], or AWS_ACCESS_KEY_ID and the profile';

function faultOf(error: unknown, place: S3Place): Fault {
  const { bucket, server } = place;
  const { code, status } = answerOf(error);
  const answered = `${server} answered ${status ?? ''} (${code})`.replace(' (UnknownError)', '');
  switch (code) {
    case 'NoSuchBucket':
      return storage(`there is no bucket ${bucket} at ${server}; make it, or correct [store] url`);
    case 'InvalidAccessKeyId':
    case 'SignatureDoesNotMatch':
    case 'InvalidToken':
    case 'ExpiredToken':
      return storage(`${server} refuses the access key (${code}); ${CHECK_KEY}`);
    case 'CredentialsProviderError':
      return storage(
        'there is no access key; set access-key-id and secret-access-key in [store], or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
      );
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
      return storage(`the clocks of this machine and of ${server} differ (${code}); set them right`);
    case 'PermanentRedirect':
    case 'AuthorizationHeaderMalformed':
    case 'IllegalLocationConstraintException':
      return storage(`the bucket ${bucket} is in another region (${code}); set [store] region`);
    case 'QuotaExceeded':
    case 'InsufficientCapacity':
    case 'XMinioStorageFull':
      return { kind: 'no-space', what: `${answered}; free some and try again` };
    case 'EntityTooLarge':
      return { kind: 'too-large', what: answered };
    case 'AnswerTooLarge':
      return storage(
        `${server} answered with more than ${ANSWER_LIMIT / 1024 ** 2} MiB; is [store] endpoint right?`,
      );
    case 'TimeoutError':
    case 'RequestTimeout':
      return {
        kind: 'unavailable',
        what: `${server} does not answer in time; try again later${withoutProxy(place)}`,
      };
  }
  if (status !== undefined) return faultOfStatus(status, answered, bucket);
  return faultOfConnection(error, place);
}

function faultOfStatus(status: number, answered: string, bucket: string): Fault {
  if (status === 507) return { kind: 'no-space', what: `${answered}; free some and try again` };
  if (status === 401 || status === 403)
    return storage(
      `${answered}; the access key needs the rights to list, read, write and delete in the bucket ${bucket}; ${CHECK_KEY}`,
    );
  if (status >= 500 || status === 429) return { kind: 'unavailable', what: `${answered}; try again later` };
  if (status === 404 || status === 400)
    return storage(`${answered}; is [store] endpoint the URL of an S3 service, and is the bucket right?`);
  return storage(answered);
}

/** Codes of a server that speaks another protocol, or whose certificate is not trusted. */
const OF_TLS = /^(?:EPROTO|HPE_|ERR_SSL|ERR_TLS|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

function faultOfConnection(error: unknown, place: S3Place): Fault {
  throwProgrammingError(error);
  const { server } = place;
  const code = systemCode(error);
  const reason = messageOf(error);
  switch (code ?? '') {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return storage(
        `the certificate of ${server}, or of a CA above it, is out of date (${code}); this machine's clock says ${formatTime(new Date())}: set the clock that is wrong, or renew the certificate`,
      );
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return storage(`the certificate of ${server} is for another name; correct [store] endpoint`);
  }
  if (code !== undefined && OF_TLS.test(code))
    return storage(
      `${server} is no S3 service with a trusted certificate (${code}); correct [store] endpoint, or name its CA in NODE_EXTRA_CA_CERTS or SSL_CERT_FILE`,
    );
  if (code !== undefined)
    return {
      kind: 'unavailable',
      what: `can't reach ${server} (${code}); is it running, and is [store] endpoint right?${withoutProxy(place)}`,
    };
  return storage(reason);
}

/** Why the service may seem to be away: other programs reach it another way. */
function withoutProxy({ proxyVariable }: S3Place): string {
  return proxyVariable === undefined ? '' : `; ${proxyVariable} is not used for a bucket`;
}

function storage(what: string): Fault {
  return { kind: 'storage', what };
}

/** Characters; a foreign service may call its errors anything. */
const CODE_LENGTH = 80;

function answerOf(error: unknown): Answer {
  if (!(error instanceof Error)) return { code: '', status: undefined };
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  const status =
    typeof metadata === 'object' && metadata !== null && 'httpStatusCode' in metadata
      ? Number(metadata.httpStatusCode)
      : undefined;
  return { code: error.name.slice(0, CODE_LENGTH), status: Number.isNaN(status) ? undefined : status };
}
