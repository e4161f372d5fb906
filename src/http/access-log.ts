import type { HttpBindings } from '@hono/node-server';
import { randomBytes } from 'node:crypto';

/** What is known of a request beside what the client said. */
export interface RequestRecord {
  /** Told to the client when something of ours fails. */
  readonly id: string;
  /** Address of the client. */
  readonly remote: string;
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

/** Gives requests their records, and writes the line of each when its answer is out or the client gone. */
export function createRecorder(log: RequestLog): (bindings: HttpBindings) => RequestRecord {
  const run = randomBytes(3).toString('hex');
  let count = 0;
  return ({ incoming, outgoing }) => {
    const { socket } = incoming;
    const remote = socket.remoteAddress ?? '';
    const record: RequestRecord = { id: `${run}-${(++count).toString(36)}`, remote };
    const begin = performance.now();
    // Of several requests in a row on one connection, each counts from its own answer's first byte to its last.
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
      log.request({
        requestId: record.id,
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        status: outgoing.headersSent ? outgoing.statusCode : 0,
        bytes: socket.bytesWritten - before,
        ms: Math.round((performance.now() - begin) * 100) / 100,
        remote,
        ...(record.user === undefined ? {} : { user: record.user }),
        aborted,
      });
    };
    // Ahead of node's own listener, which begins the next answer: until then the connection's bytes are this one's.
    outgoing.prependListener('finish', () => {
      tell(false);
    });
    outgoing.on('close', () => {
      tell(!outgoing.writableFinished);
    });
    return record;
  };
}
