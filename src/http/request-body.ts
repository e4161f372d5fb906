import type { IncomingMessage, ServerResponse } from 'node:http';
import { CacheError, shortReasonOf, throwProgrammingError } from '../cache/errors.ts';
import { bodyChunks, TooSlow } from './body-chunks.ts';

/** The largest body that a route takes. */
export interface BodyLimit {
  readonly bytes: number;
  /** Follows the number in the message of a refusal. */
  readonly advice: string;
}

/**
 * The length that the request announces; undefined for chunked encoding.
 * @throws CacheError `too-large` before reading the body
 */
export function announcedLength({ headers }: IncomingMessage, limit: BodyLimit): number | undefined {
  // node's parser accepts digits only.
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  if (length !== undefined && length > limit.bytes) throw tooLarge(limit);
  if (length === undefined && headers['transfer-encoding'] === undefined) return 0;
  return length;
}

/**
 * Receives the body of a request; the caller owns the chunks. Answers `Expect: 100-continue`, so call it after all checks of
 * the head.
 * @throws CacheError `too-large`; `incomplete` when the client disconnects or is too slow
 */
export async function* receiveBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  limit: BodyLimit,
): AsyncGenerator<readonly Buffer[]> {
  if (waitsToBeAsked(incoming)) outgoing.writeContinue();
  let size = 0;
  try {
    for await (const chunks of bodyChunks(incoming)) {
      for (const chunk of chunks) size += chunk.length;
      if (size > limit.bytes) throw tooLarge(limit);
      yield chunks;
    }
  } catch (error) {
    throwProgrammingError(error);
    if (error instanceof CacheError) throw error;
    if (error instanceof TooSlow)
      throw new CacheError('incomplete', `given up after ${size} bytes: ${error.message}`, { cause: error });
    const reason = shortReasonOf(error);
    throw new CacheError('incomplete', `the connection broke after ${size} bytes (${reason})`, {
      cause: error,
    });
  }
}

/** Whether the client may still be sending. */
export function hasUnreadBody({ complete, headers }: IncomingMessage): boolean {
  return (
    !complete && (headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0')
  );
}

function tooLarge({ bytes, advice }: BodyLimit): CacheError {
  return new CacheError('too-large', `larger than the limit of ${bytes} bytes${advice}`);
}

function waitsToBeAsked({ headers, httpVersion }: IncomingMessage): boolean {
  // Must be ignored in HTTP/1.0, which has no interim answers (RFC 9110, 10.1.1).
  return httpVersion !== '1.0' && headers.expect?.toLowerCase() === '100-continue';
}

/** As in nginx (lingering_time): a client that sends for longer after a refusal ignores it. */
const LINGER_MS = 30_000;
/** For clients that have sent no byte of the body yet. */
const UNASKED_LINGER_MS = 1_000;

/**
 * Answers a request with an unread body at once, then discards the body for a while: clients read the answer only after
 * sending all, and would see a broken pipe if the connection was closed before.
 */
export function answerAndLinger(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string>>,
  text: string,
): void {
  const body = Buffer.from(text);
  outgoing.writeHead(status, { ...headers, 'Content-Length': body.length, Connection: 'close' });
  // The head of an answer to HEAD would wait for its end.
  outgoing.flushHeaders();
  outgoing.write(body);
  const end = (): void => {
    clearTimeout(giveUp);
    outgoing.end();
  };
  // A client that waits for "100 Continue" sends nothing now, but some clients don't wait.
  let giveUp = setTimeout(end, waitsToBeAsked(incoming) ? UNASKED_LINGER_MS : LINGER_MS);
  incoming.once('data', () => {
    clearTimeout(giveUp);
    giveUp = setTimeout(end, LINGER_MS);
  });
  incoming.once('end', end).once('close', end);
  incoming.on('error', () => undefined);
  incoming.resume();
}
