import type { IncomingMessage, ServerResponse } from 'node:http';
import { CacheError, shortReasonOf, throwProgrammingError } from '../cache/errors.ts';
import { bodyChunks, TooSlow } from './body-chunks.ts';

/**
 * The length that the request announces; undefined when it comes in chunks.
 * @throws CacheError `too-large` before anything is read
 */
export function announcedLength({ headers }: IncomingMessage, limit: number): number | undefined {
  // node's parser has refused everything but digits.
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  if (length !== undefined && length > limit) throw tooLarge(limit);
  if (length === undefined && headers['transfer-encoding'] === undefined) return 0;
  return length;
}

/**
 * The bytes of a request, in chunks that belong to whoever takes them. A client that waits to be asked
 * (`Expect: 100-continue`) is asked now: to be called when everything that the head tells was found right.
 * @throws CacheError `too-large`; `incomplete` when the client goes away
 */
export async function* receiveBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  limit: number,
): AsyncGenerator<readonly Buffer[]> {
  if (waitsToBeAsked(incoming)) outgoing.writeContinue();
  let size = 0;
  try {
    for await (const chunks of bodyChunks(incoming)) {
      for (const chunk of chunks) size += chunk.length;
      if (size > limit) throw tooLarge(limit);
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

function tooLarge(limit: number): CacheError {
  return new CacheError('too-large', `larger than ${limit} bytes, which is the limit here`);
}

function waitsToBeAsked({ headers, httpVersion }: IncomingMessage): boolean {
  // HTTP/1.0 has no interim answers: there it must be ignored (RFC 9110, 10.1.1).
  return httpVersion !== '1.0' && headers.expect?.toLowerCase() === '100-continue';
}

/** As nginx does it (lingering_time): whoever sends more than this after a refusal isn't listening. */
const LINGER_MS = 30_000;
/** For clients that have sent nothing of the body yet. */
const UNASKED_LINGER_MS = 1_000;

/**
 * Answers a request whose body was not read to its end. Clients send all of it before they look at the answer; a
 * connection closed before that would show them a broken pipe in place of the answer. So the answer goes out at once,
 * and what still comes is thrown away for a while.
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
  // HEAD has no body, and its head would wait for the end.
  outgoing.flushHeaders();
  outgoing.write(body);
  const end = (): void => {
    clearTimeout(giveUp);
    outgoing.end();
  };
  // Who waits to be asked won't send now, but some ask and don't wait.
  let giveUp = setTimeout(end, waitsToBeAsked(incoming) ? UNASKED_LINGER_MS : LINGER_MS);
  incoming.once('data', () => {
    clearTimeout(giveUp);
    giveUp = setTimeout(end, LINGER_MS);
  });
  incoming.once('end', end).once('close', end);
  incoming.on('error', () => undefined);
  incoming.resume();
}
