import type { IncomingMessage } from 'node:http';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { LEAST_PROGRESS, PassingFault } from './attempts.ts';
import { faultOfConnection } from './connection-fault.ts';
import type { Endpoint } from './endpoint.ts';
import { throughProxy, wantedByProxy } from './proxy.ts';

/** Bytes to read, and characters to show, of a refusal's text. */
const REASON_SIZE_LIMIT = 4096;
const REASON_LENGTH = 300;
/** Characters to show of the name of a server. */
const SERVER_LENGTH = 80;
/** Milliseconds to read the rest of a dropped answer. */
const DROP_LIMIT_MS = 1000;

/**
 * The bytes of an answer.
 * @param url for messages
 * @throws PassingFault when the connection is lost before the end, or too slow
 */
export async function* bytesOf(
  response: IncomingMessage,
  { idleLimit, proxy }: Endpoint,
  url: string,
): AsyncGenerator<Uint8Array> {
  // Excludes the time that the caller needs for each piece.
  let waited = 0;
  let progress = 0;
  let since = performance.now();
  try {
    for await (const piece of response as AsyncIterable<Uint8Array>) {
      waited += performance.now() - since;
      progress += piece.byteLength;
      if (progress >= LEAST_PROGRESS) waited = progress = 0;
      if (waited > idleLimit) {
        const what = `less than ${LEAST_PROGRESS / 1024} KiB came within ${idleLimit / 1000} s`;
        throw new PassingFault(`${url}: ${what}${throughProxy(proxy)}`);
      }
      yield piece;
      since = performance.now();
    }
  } catch (error) {
    throw faultOfConnection(error, url, { hasAnswered: true, proxy });
  }
}

/**
 * The text of an answer.
 * @param limit largest size in bytes
 * @throws CacheError `unavailable`
 */
export async function readText(
  response: IncomingMessage,
  endpoint: Endpoint,
  url: string,
  limit: number,
): Promise<string> {
  const encoding = response.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    dropAnswer(response);
    const what = `answered in the encoding ${quoteBriefly(encoding)}, which was not requested`;
    throw new CacheError('unavailable', `${url}: ${what}`);
  }
  // One growing buffer, not a list of pieces: each may be a single byte.
  let text = Buffer.allocUnsafe(64 * 1024);
  let size = 0;
  for await (const piece of bytesOf(response, endpoint, url)) {
    const end = size + piece.byteLength;
    if (end > limit) throw new CacheError('unavailable', `${url}: answered more than ${limit} bytes`);
    if (end > text.byteLength) {
      const larger = Buffer.allocUnsafe(Math.min(limit, Math.max(end, 2 * text.byteLength)));
      text.copy(larger, 0, 0, size);
      text = larger;
    }
    text.set(piece, size);
    size = end;
  }
  return text.toString('utf8', 0, size);
}

/** Discards an answer. */
export function dropAnswer(response: IncomingMessage): void {
  // Reads a small rest, so that the connection can be reused; a large or slow one isn't worth it.
  if (Number(response.headers['content-length'] ?? Infinity) > REASON_SIZE_LIMIT) response.destroy();
  else {
    const giveUp = setTimeout(() => response.destroy(), DROP_LIMIT_MS).unref();
    response.once('close', () => {
      clearTimeout(giveUp);
    });
    response.on('error', () => undefined).resume();
  }
}

/** Describes an answer by its head, for messages: `404 as text/html from nginx/1.22.1`. */
export function formatAnswer({ statusCode = 0, headers }: IncomingMessage): string {
  const [type] = /^[\w.+-]+\/[\w.+-]+/.exec(headers['content-type'] ?? '') ?? [];
  const server = typeof headers['server'] === 'string' ? headers['server'] : undefined;
  const parts = [
    String(statusCode),
    type && `as ${type}`,
    server && `from ${server.slice(0, SERVER_LENGTH)}`,
  ];
  return parts.filter((part) => part !== undefined && part !== '').join(' ');
}

/** The error for an answer with an unexpected status. */
export async function faultOfAnswer(
  response: IncomingMessage,
  endpoint: Endpoint,
  url: string,
): Promise<CacheError> {
  const { hasUser, proxy } = endpoint;
  const { statusCode = 0, statusMessage = '', headers } = response;
  const said = `${url}: answered ${[statusCode, statusMessage].join(' ').trim()}`;
  if (statusCode === 407 && proxy !== undefined) {
    dropAnswer(response);
    return new CacheError('unavailable', said + wantedByProxy(proxy));
  }
  const answer = said + throughProxy(proxy);
  if (statusCode >= 300 && statusCode < 400) {
    dropAnswer(response);
    const place = headers.location === undefined ? '' : ` to ${quoteBriefly(headers.location)}`;
    return new CacheError('unavailable', `${answer}: it has moved${place}; use the new URL`);
  }
  const reason = await reasonOf(response, endpoint, url);
  if (statusCode === 401) {
    return new CacheError(
      'unauthorized',
      hasUser
        ? `${answer}: wrong user name or password${reason}`
        : `${answer}: a user name and password are required; write them into the URL, as http://USER:PASSWORD@HOST`,
    );
  }
  if (statusCode === 403) return new CacheError('forbidden', `${answer}${reason}`);
  if (statusCode === 429 || statusCode >= 500) {
    const seconds = Number(headers['retry-after'] ?? Number.NaN);
    return new PassingFault(answer + reason, seconds >= 0 ? { retryAfter: seconds * 1000 } : {});
  }
  return new CacheError('unavailable', answer + reason);
}

/** The text of a refusal, to append to a message. */
async function reasonOf(response: IncomingMessage, endpoint: Endpoint, url: string): Promise<string> {
  if (!/^text\/plain\b/.test(response.headers['content-type'] ?? '')) {
    dropAnswer(response);
    return '';
  }
  try {
    const text = await readText(response, endpoint, url, REASON_SIZE_LIMIT);
    // Terminals act on control characters.
    const line = text.replace(/\p{Cc}+/gu, ' ').trim();
    return line === '' ? '' : `: ${line.slice(0, REASON_LENGTH)}`;
  } catch (error) {
    throwProgrammingError(error);
    return ''; // The status is enough.
  }
}
