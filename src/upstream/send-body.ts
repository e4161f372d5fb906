import type { ClientRequest } from 'node:http';

/** A server that knows nothing of `100 Continue` gets the body after this time, in milliseconds (RFC 9110, 10.1.1). */
const CONTINUE_LIMIT_MS = 3000;
/** The other side makes a large blob durable before it answers: the nodes' own client waits for an hour (protocol.md). */
const ANSWER_LIMIT_MS = 3_600_000;

/**
 * Sends a body once the other side asks for it: it may refuse before the first of many bytes. What goes wrong ends the
 * request with an error.
 */
export function sendBody(request: ClientRequest, body: AsyncIterable<Uint8Array>): void {
  let isAnswered = false;
  let hasBegun = false;
  const begin = (): void => {
    if (hasBegun || isAnswered || request.destroyed) return;
    hasBegun = true;
    send().catch((error: unknown) => request.destroy(error instanceof Error ? error : undefined));
  };
  const send = async (): Promise<void> => {
    for await (const piece of body) {
      // An answer in the middle is a refusal.
      if (isAnswered || request.destroyed) return;
      await write(request, piece);
    }
    request.end();
    request.setTimeout(ANSWER_LIMIT_MS);
  };
  const waiting = setTimeout(begin, CONTINUE_LIMIT_MS);
  request
    .once('continue', begin)
    .once('close', () => {
      clearTimeout(waiting);
    })
    .once('response', (response) => {
      isAnswered = true;
      clearTimeout(waiting);
      // A connection on which a body was announced and not sent is good for nothing more.
      if (!request.writableEnded) response.once('end', () => request.destroy());
    });
  request.setHeader('Expect', '100-continue');
  request.flushHeaders();
}

/** Resolves when the piece may be reused. */
function write(request: ClientRequest, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    // A connection that broke is told of elsewhere, with the reason.
    const done = (): void => {
      request.off('close', done);
      resolve();
    };
    request.once('close', done);
    request.write(piece, done);
  });
}
