import type { HttpBindings } from '@hono/node-server';
import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '../cache/errors.ts';

/** Facts about a request that are not part of it. */
export interface RequestRecord {
  /** Sent to the client with a 5xx answer. */
  readonly id: string;
  /** Address of the client. */
  readonly remote: string;
  /** The authenticated user. */
  user?: string;
  /** Whether that user has all rights. */
  isAdmin?: boolean;
  /** The kind of error that the request ended with. */
  code?: ErrorCode | undefined;
  /** Why the request is refused, and what would help: the client may not show the answer. */
  reason?: string;
}

/** The log line of a request. */
export interface RequestLine {
  readonly requestId: string;
  readonly method: string;
  /** As in the request line; it contains the digest or the key. */
  readonly path: string;
  /** 0 when the client disconnected before the answer began. */
  readonly status: number;
  /** Bytes of the answer on the wire, including its head. */
  readonly bytes: number;
  /** Milliseconds from the request's head to the answer's last byte. */
  readonly ms: number;
  readonly remote: string;
  readonly user?: string;
  /** Why the request was refused; absent for a miss. It contains no passwords. */
  readonly reason?: string;
  /** The client disconnected before the end of the answer. */
  readonly aborted: boolean;
}

/** The destination of log lines. */
export interface RequestLog {
  request(line: RequestLine): void;
  /** A fault of the server, with the id that the client got. */
  failure(requestId: string, error: unknown): void;
}

/** Counts requests; called for each one, so it must be quick. */
export interface RequestObserver {
  /** @param path as a path of this service: see `createPathOf` */
  begin(path: string, method: string): void;
  end(path: string, line: RequestLine, code: ErrorCode | undefined): void;
}

/** Creates the records of requests, and logs each request when its answer was sent or the client has disconnected. */
export function createRecorder(
  log: RequestLog,
  observer?: RequestObserver,
): (bindings: HttpBindings, path: string) => RequestRecord {
  const run = randomBytes(3).toString('hex');
  let count = 0;
  return ({ incoming, outgoing }, path) => {
    const { socket } = incoming;
    observer?.begin(path, incoming.method ?? '');
    const remote = socket.remoteAddress ?? '';
    const record: RequestRecord = { id: `${run}-${(++count).toString(36)}`, remote };
    const begin = performance.now();
    // On a connection with several requests, each counts the bytes of its own answer.
    let before = socket.bytesWritten;
    if (outgoing.socket === null) {
      outgoing.once('socket', () => {
        before = socket.bytesWritten;
      });
    }
    let isTold = false;
    const tell = (aborted: boolean): void => {
      if (isTold) return;
      isTold = true;
      const line: RequestLine = {
        requestId: record.id,
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        status: outgoing.headersSent ? outgoing.statusCode : 0,
        bytes: socket.bytesWritten - before,
        ms: Math.round((performance.now() - begin) * 100) / 100,
        remote,
        ...(record.user === undefined ? {} : { user: record.user }),
        ...(record.reason === undefined ? {} : { reason: record.reason }),
        aborted,
      };
      log.request(line);
      observer?.end(path, line, record.code);
    };
    // Before node's own listener, which begins the next answer: until then the connection's bytes belong to this answer.
    outgoing.prependListener('finish', () => {
      tell(false);
    });
    outgoing.on('close', () => {
      tell(!outgoing.writableFinished);
    });
    return record;
  };
}
