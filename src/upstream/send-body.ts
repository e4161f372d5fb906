import type { ClientRequest } from 'node:http';
import { LEAST_PROGRESS } from './attempts.ts';

/** Milliseconds to wait for `100 Continue`, which some servers don't support (RFC 9110, 10.1.1). */
const CONTINUE_LIMIT_MS = 3000;
/** An hour, as in the nodes' own client (protocol.md): the server makes a large blob durable before it answers. */
const ANSWER_LIMIT_MS = 3_600_000;

export interface SendLimit {
  /** Milliseconds in which the server must take `LEAST_PROGRESS` bytes, as an answer must bring them. */
  readonly idleLimit: number;
  /** The error for a server that takes too long. @param what was too little, or has not come */
  readonly tooSlow: (what: string, limit: number) => Error;
}

/**
 * Sends a body after `100 Continue`, so that the server can refuse it before the first byte. An error ends the request.
 */
export function sendBody(
  request: ClientRequest,
  body: AsyncIterable<Uint8Array>,
  { idleLimit, tooSlow }: SendLimit,
): void {
  let isAnswered = false;
  let hasBegun = false;
  /** An answer before the end is a refusal. */
  const isRefused = (): boolean => isAnswered || request.destroyed;
  const begin = (): void => {
    if (hasBegun || isRefused()) return;
    hasBegun = true;
    send().catch((error: unknown) => request.destroy(error instanceof Error ? error : undefined));
  };
  const send = async (): Promise<void> => {
    for await (const piece of body) {
      for (let start = 0; start < piece.byteLength; start += LEAST_PROGRESS) {
        if (isRefused()) return;
        const late = setTimeout(() => {
          request.destroy(tooSlow(`less than ${LEAST_PROGRESS / 1024} KiB were taken`, idleLimit));
        }, idleLimit);
        await write(request, piece.subarray(start, start + LEAST_PROGRESS));
        clearTimeout(late);
      }
    }
    if (isRefused()) return;
    request.end();
    request.setTimeout(0);
    // A limit for its whole head, which may drip.
    answering = setTimeout(
      () => request.destroy(tooSlow('no answer came', ANSWER_LIMIT_MS)),
      ANSWER_LIMIT_MS,
    );
  };
  let answering: NodeJS.Timeout | undefined;
  const waiting = setTimeout(begin, CONTINUE_LIMIT_MS);
  request
    .once('continue', begin)
    .once('close', () => {
      clearTimeout(waiting);
      clearTimeout(answering);
    })
    .once('response', (response) => {
      isAnswered = true;
      clearTimeout(waiting);
      clearTimeout(answering);
      request.setTimeout(idleLimit);
      // A connection with an announced but unsent body can't be reused.
      if (!request.writableEnded) response.once('end', () => request.destroy());
    });
  request.setHeader('Expect', '100-continue');
  request.flushHeaders();
}

/** Resolves when the piece may be reused. */
function write(request: ClientRequest, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    // The request's 'error' event reports a broken connection.
    const done = (): void => {
      request.off('close', done);
      resolve();
    };
    request.once('close', done);
    request.write(piece, done);
  });
}
