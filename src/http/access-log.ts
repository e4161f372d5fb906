import type { MiddlewareHandler } from 'hono';
import { randomBytes } from 'node:crypto';
import type { HttpEnv } from './app.ts';

export interface RequestVariables {
  requestId: string;
  /** Who asked, where they proved it. */
  user?: string;
}

/** One line a request. */
export interface RequestLine {
  readonly requestId: string;
  readonly method: string;
  /** As in the request line: it names the digest or the key. */
  readonly path: string;
  /** 0 when the client went away before an answer began. */
  readonly status: number;
  /** Bytes of the answer on the wire, with its head. */
  readonly bytes: number;
  /** Milliseconds from the request's head to the answer's last byte. */
  readonly ms: number;
  readonly remote: string;
  readonly user?: string;
  /** The client went away before it had everything. */
  readonly aborted: boolean;
}

/** Where the lines go: the edge where things are logged, once. */
export interface RequestLog {
  request(line: RequestLine): void;
  /** A fault of ours, with the id that the client was told. */
  failure(requestId: string, error: unknown): void;
}

/** Gives the request its id, and writes its line when the answer is out or the client gone. */
export function logRequests(log: RequestLog): MiddlewareHandler<HttpEnv> {
  const run = randomBytes(3).toString('hex');
  let count = 0;
  return (c, next) => {
    const { incoming, outgoing } = c.env;
    const requestId = `${run}-${(++count).toString(36)}`;
    c.set('requestId', requestId);
    const begin = performance.now();
    const { socket } = incoming;
    const written = socket.bytesWritten;
    const remote = socket.remoteAddress ?? '';
    outgoing.once('close', () => {
      const user = c.get('user');
      log.request({
        requestId,
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        status: outgoing.headersSent ? outgoing.statusCode : 0,
        bytes: socket.bytesWritten - written,
        ms: Math.round((performance.now() - begin) * 100) / 100,
        remote,
        ...(user === undefined ? {} : { user }),
        aborted: !outgoing.writableFinished,
      });
    });
    return next();
  };
}
