import type { Digest } from '../cache/digest.ts';
import { parseEntry, type UnverifiedEntry } from '../cache/entry.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import type { UploadTarget } from '../cache/source.ts';
import { dropAnswer, faultOfAnswer, formatAnswer, readText } from './answer.ts';
import { PATIENT, persist, type Patience } from './attempts.ts';
import { lengthOf, openBlob } from './blob-download.ts';
import { watchMisses } from './doubt.ts';
import { createEndpoint, type Endpoint } from './endpoint.ts';
import { listKeys } from './key-list.ts';
import type { Environment } from './proxy.ts';
import { putBlob, putEntry } from './uploads.ts';

export interface UpstreamUrls {
  /** Of the directory (ShaDir), without a trailing `/`; may contain a user name and password. */
  readonly directory: string;
  /** Of the blobs (ShaCache), likewise. */
  readonly blobs: string;
}

export interface UpstreamOptions {
  /** CA certificates of the server in PEM; Node's own by default. */
  readonly ca?: readonly string[];
  /** Environment variables with proxies (see `proxyFor`); none by default. */
  readonly environment?: Environment;
  readonly patience?: Patience;
  /** Milliseconds to wait without any bytes. */
  readonly idleLimit?: number;
}

/** The limit of the nodes' own client (protocol.md, "Requests as they really arrive"). */
const IDLE_LIMIT_MS = 60_000;
/** Largest list of entries, in bytes. */
const LIST_SIZE_LIMIT = 16 * 1024 * 1024;
/** Largest other text, in bytes. */
const TEXT_SIZE_LIMIT = 1024 * 1024;
/** Entries per key, far more than any release has: each is verified. */
const LIST_LIMIT = 10_000;

/**
 * Another ShaCache and ShaDir, over HTTP. Faults of the other side are CacheError `unavailable`; entries that can't be
 * parsed are left out. Only caches like this one list keys.
 */
export function createUpstream(
  urls: UpstreamUrls,
  { ca = [], environment = {}, patience = PATIENT, idleLimit = IDLE_LIMIT_MS }: UpstreamOptions = {},
): UploadTarget {
  const directory = watchMisses(createEndpoint(urls.directory, { ca, environment, idleLimit }));
  const blobs = watchMisses(createEndpoint(urls.blobs, { ca, environment, idleLimit }));
  return {
    name: directory.url,
    entries: (key) => persist(patience, () => fetchEntries(directory, key)),
    blobSize: (digest) => persist(patience, () => fetchBlobSize(blobs, digest)),
    keys: () => listKeys(directory, patience),
    openBlob: (digest) => openBlob(blobs, digest, patience),
    putBlob: (digest, open) =>
      persist(patience, async () => {
        const blob = await open();
        try {
          await putBlob(blobs, digest, blob);
        } finally {
          await blob.close();
        }
      }),
    putEntry: (key, pair) => persist(patience, () => putEntry(directory, pathOfKey(key), pair)),
    doubts: async () => [await directory.doubt(), await blobs.doubt()].filter((doubt) => doubt !== undefined),
  };
}

/**
 * The text at a URL, of at most 1 MiB.
 * @throws CacheError `unavailable`; `not-found`
 */
export async function readTextAt(
  url: string,
  { ca = [], environment = {}, patience = PATIENT, idleLimit = IDLE_LIMIT_MS }: UpstreamOptions = {},
): Promise<string> {
  const endpoint = createEndpoint(url, { ca, environment, idleLimit });
  return persist(patience, async () => {
    const response = await endpoint.send('GET', '');
    if (response.statusCode === 200) return readText(response, endpoint, endpoint.url, TEXT_SIZE_LIMIT);
    if (response.statusCode !== 404) throw await faultOfAnswer(response, endpoint, endpoint.url);
    dropAnswer(response);
    throw new CacheError('not-found', `${endpoint.url}: ${formatAnswer(response)}; correct the URL`);
  });
}

async function fetchEntries(endpoint: Endpoint, key: Key): Promise<readonly UnverifiedEntry[]> {
  const path = pathOfKey(key);
  const url = endpoint.url + path;
  const response = await endpoint.send('GET', path);
  if (response.statusCode === 404) {
    dropAnswer(response);
    return [];
  }
  if (response.statusCode !== 200) throw await faultOfAnswer(response, endpoint, url);
  return parseList(await readText(response, endpoint, url, LIST_SIZE_LIMIT), url);
}

/** Clients send keys raw (protocol.md, "Keys"): encodes only the characters that a path can't contain. */
function pathOfKey(key: Key): string {
  return `/${key.replace(/[^\w.~!$&'()*+,;=:@-]/g, encodeURIComponent)}`;
}

async function fetchBlobSize(endpoint: Endpoint, digest: Digest): Promise<number | undefined> {
  const path = `/${digest}`;
  const url = endpoint.url + path;
  const head = await endpoint.send('HEAD', path);
  head.resume();
  if (head.statusCode === 404) return undefined;
  const length = lengthOf(head);
  if (head.statusCode === 200 && length !== undefined) return length;
  // Some servers don't support HEAD, or omit the length: the answer to a request for one byte also has it.
  const response = await endpoint.send('GET', path, { headers: { Range: 'bytes=0-0' } });
  const { statusCode, headers } = response;
  if (statusCode !== 200 && statusCode !== 206 && statusCode !== 404)
    throw await faultOfAnswer(response, endpoint, url);
  response.destroy();
  if (statusCode === 404) return undefined;
  const total = /^bytes 0-0\/(\d+)$/i.exec(headers['content-range'] ?? '')?.[1];
  const size = statusCode === 206 ? Number(total ?? Number.NaN) : lengthOf(response);
  if (size !== undefined && Number.isSafeInteger(size)) return size;
  throw new CacheError('unavailable', `${url}: the server announces no size`);
}

function parseList(text: string, url: string): readonly UnverifiedEntry[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('unavailable', `${url}: the answer is not JSON; is this the /bdir of a cache?`, {
      cause: error,
    });
  }
  if (!Array.isArray(list))
    throw new CacheError('unavailable', `${url}: the answer is not a list of entries`);
  if (list.length > LIST_LIMIT)
    throw new CacheError(
      'unavailable',
      `${url}: lists ${list.length} entries for one key; the limit is ${LIST_LIMIT}`,
    );
  const entries: UnverifiedEntry[] = [];
  for (const item of list) {
    try {
      entries.push(parseEntry(item));
    } catch (error) {
      // An invalid entry doesn't affect the other entries of its key.
      if (!(error instanceof CacheError)) throw error;
    }
  }
  return entries;
}
