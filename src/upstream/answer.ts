import type { IncomingMessage } from 'node:http';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { faultOfConnection } from './connection-fault.ts';
import type { Endpoint } from './endpoint.ts';
import { throughProxy, wantedByProxy } from './proxy.ts';

/** Enough of a refusal's text to understand it. */
const REASON_SIZE_LIMIT = 4096;
const REASON_LENGTH = 300;

/**
 * The bytes of an answer.
 * @param url for messages
 * @throws PassingFault when the connection is lost before their end
 */
export async function* bytesOf(response: IncomingMessage, url: string): AsyncGenerator<Uint8Array> {
  try {
    yield* response as AsyncIterable<Uint8Array>;
  } catch (error) {
    throw faultOfConnection(error, url, { hasAnswered: true, proxy: undefined });
  }
}

/**
 * The text of an answer.
 * @param limit largest size in bytes
 * @throws CacheError `unavailable`
 */
export async function readText(response: IncomingMessage, url: string, limit: number): Promise<string> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of bytesOf(response, url)) {
    size += piece.byteLength;
    if (size > limit) throw new CacheError('unavailable', `${url}: answered more than ${limit} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Lets go of an answer whose bytes nobody wants. */
export function dropAnswer(response: IncomingMessage): void {
  // A small rest is read, so that the connection can be used again; a large one isn't worth it.
  if (Number(response.headers['content-length'] ?? Infinity) <= REASON_SIZE_LIMIT) response.resume();
  else response.destroy();
}

/** What an answer with a status that isn't wanted means, as an error to be thrown. */
export async function faultOfAnswer(
  response: IncomingMessage,
  { hasUser, proxy }: Endpoint,
  url: string,
): Promise<CacheError> {
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
    return new CacheError('unavailable', `${answer}: it has moved${place}; give the URL of the new place`);
  }
  const reason = await reasonOf(response, url);
  if (statusCode === 401) {
    return new CacheError(
      'unauthorized',
      hasUser
        ? `${answer}: user name or password are wrong${reason}`
        : `${answer}: a user name and password are needed; write them into the URL, as http://USER:PASSWORD@HOST`,
    );
  }
  if (statusCode === 403) return new CacheError('forbidden', `${answer}${reason}`);
  if (statusCode === 429 || statusCode >= 500) {
    const seconds = Number(headers['retry-after'] ?? Number.NaN);
    return new PassingFault(answer + reason, seconds >= 0 ? { retryAfter: seconds * 1000 } : {});
  }
  return new CacheError('unavailable', answer + reason);
}

/** What a refusal says of itself, to be put behind a message. */
async function reasonOf(response: IncomingMessage, url: string): Promise<string> {
  if (!/^text\/plain\b/.test(response.headers['content-type'] ?? '')) {
    dropAnswer(response);
    return '';
  }
  try {
    const text = await readText(response, url, REASON_SIZE_LIMIT);
    // Terminals act on control characters.
    const line = text.replace(/\p{Cc}+/gu, ' ').trim();
    return line === '' ? '' : `: ${line.slice(0, REASON_LENGTH)}`;
  } catch (error) {
    throwProgrammingError(error);
    return ''; // The status says enough.
  }
}
