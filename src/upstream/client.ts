import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Digest } from '../cache/digest.ts';
import { parseEntry, type UnverifiedEntry } from '../cache/entry.ts';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';

/** Another ShaCache and ShaDir, read over HTTP. */
export interface Upstream {
  /** The entries of a key in the order of the answer; empty when it has none. Entries that are none are left out. */
  entries(key: Key): Promise<readonly UnverifiedEntry[]>;
  /** Size in bytes of a blob, undefined when it isn't there. */
  blobSize(digest: Digest): Promise<number | undefined>;
}

export interface UpstreamUrls {
  /** `…/bdir`, without `/` at its end. */
  readonly directory: string;
  /** `…/bcache`, without `/` at its end. */
  readonly blobs: string;
}

/** Longest wait for something to arrive, in milliseconds: as the nodes' own client waits (protocol.md). */
const IDLE_LIMIT_MS = 60_000;
/** Largest list of entries that is read. */
const LIST_SIZE_LIMIT = 64 * 1024 * 1024;

/** Faults of the other side are CacheError `unavailable`. */
export function createUpstream({ directory, blobs }: UpstreamUrls): Upstream {
  return {
    async entries(key) {
      // Clients put the key into the path raw (protocol.md, "Keys").
      const url = `${directory}/${key}`;
      const response = await send('GET', url);
      if (response.statusCode === 404) {
        response.resume();
        return [];
      }
      if (response.statusCode !== 200) throw unexpected(url, response);
      return parseList(await readText(url, response), url);
    },
    async blobSize(digest) {
      const url = `${blobs}/${digest}`;
      const response = await send('HEAD', url);
      response.resume();
      if (response.statusCode === 404) return undefined;
      if (response.statusCode !== 200) throw unexpected(url, response);
      const length = Number(response.headers['content-length']);
      return Number.isSafeInteger(length) ? length : undefined;
    },
  };
}

function send(method: string, url: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const open = url.startsWith('https:') ? httpsRequest : httpRequest;
    const request = open(url, { method, timeout: IDLE_LIMIT_MS, agent: false });
    request
      .once('response', resolve)
      .once('timeout', () => {
        request.destroy(new CacheError('unavailable', `${url}: no answer within ${IDLE_LIMIT_MS / 1000} s`));
      })
      .once('error', (error) => {
        reject(
          error instanceof CacheError
            ? error
            : new CacheError(
                'unavailable',
                `${url}: can't be reached (${systemCode(error) ?? error.message})`,
                {
                  cause: error,
                },
              ),
        );
      })
      .end();
  });
}

function unexpected(url: string, response: IncomingMessage): CacheError {
  response.resume();
  return new CacheError(
    'unavailable',
    `${url}: answered ${response.statusCode ?? 0} ${response.statusMessage ?? ''}`,
  );
}

async function readText(url: string, response: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > LIST_SIZE_LIMIT)
        throw new CacheError('unavailable', `${url}: more than ${LIST_SIZE_LIMIT} bytes`);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof CacheError) throw error;
    throw new CacheError('unavailable', `${url}: the answer was cut off`, { cause: error });
  }
  return Buffer.concat(pieces).toString('utf8');
}

function parseList(text: string, url: string): readonly UnverifiedEntry[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    throw new CacheError('unavailable', `${url}: the answer is not JSON; is this the /bdir of a cache?`, {
      cause: error,
    });
  }
  if (!Array.isArray(list))
    throw new CacheError('unavailable', `${url}: the answer is not a list of entries`);
  const entries: UnverifiedEntry[] = [];
  for (const item of list) {
    try {
      entries.push(parseEntry(item));
    } catch (error) {
      // Somebody else's old or odd entry says nothing about the others of its key.
      if (!(error instanceof CacheError)) throw error;
    }
  }
  return entries;
}
