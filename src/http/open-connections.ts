import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** The connections of a server with their running answers. */
export interface OpenConnections {
  /** Call it for every request. @returns the unanswered requests of its connection, including this one */
  note(incoming: IncomingMessage, outgoing: ServerResponse): number;
  /** Whether the connection has sent the head of an answer, but not its end. */
  isAnswering(socket: Socket): boolean;
  /** The running answers. */
  waiting(): ServerResponse[];
  /**
   * Closes connections without a running answer, also those with no request or an incomplete one, unlike node's own
   * `closeIdleConnections`.
   */
  closeIdle(): void;
  /** Counts all connections. */
  count(): number;
  /** Closes all connections at once, also those in a TLS handshake. */
  breakAll(): void;
}

/** The limits of a server's connections. A slow client needs some 150 KiB for a blob, and the whole answer for others. */
export interface ConnectionLimit {
  readonly most: number;
  /** Called at most once a minute with the number of connections that were refused since. */
  readonly onRefused: (count: number) => void;
  /** The same for connections that were cut, because too many bytes waited for their clients. */
  readonly onCut: (count: number) => void;
}

const TELL_INTERVAL_MS = 60_000;
/** Bytes of answers that may wait for clients; as text they take twice as much memory. */
export const WAITING_LIMIT = 128 * 1024 * 1024;
const WAITING_CHECK_MS = 250;

/** Refuses new connections above the limit, and cuts those with the most waiting bytes. */
export function limitConnections(
  server: Server,
  connections: OpenConnections,
  { most, onRefused, onCut }: ConnectionLimit,
): void {
  server.maxConnections = most;
  const tellRefused = tellAtTimes(onRefused);
  server.on('drop', () => {
    tellRefused(1);
  });
  const tellCut = tellAtTimes(onCut);
  const check = (): void => {
    const answers = connections.waiting();
    let bytes = answers.reduce((sum, { writableLength }) => sum + writableLength, 0);
    let cut = 0;
    for (const answer of answers.sort((a, b) => b.writableLength - a.writableLength)) {
      if (bytes <= WAITING_LIMIT) break;
      bytes -= answer.writableLength;
      answer.destroy();
      cut++;
    }
    if (cut > 0) tellCut(cut);
  };
  server.once('listening', () => {
    const checking = setInterval(check, WAITING_CHECK_MS).unref();
    server.once('close', () => {
      clearInterval(checking);
    });
  });
}

/** Adds up counts, and passes them on at most once in `TELL_INTERVAL_MS`. */
function tellAtTimes(tell: (count: number) => void): (more: number) => void {
  let count = 0;
  let told = -Infinity;
  return (more) => {
    count += more;
    if (performance.now() - told < TELL_INTERVAL_MS) return;
    tell(count);
    count = 0;
    told = performance.now();
  };
}

export function trackConnections(server: Server): OpenConnections {
  /** The running answers of each connection. */
  const running = new Map<Socket, Set<ServerResponse>>();
  const raw = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    raw.add(socket);
    socket.once('close', () => raw.delete(socket));
  });
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    running.set(socket, new Set());
    socket.once('close', () => running.delete(socket));
  });
  return {
    note({ socket }, outgoing) {
      const answers = running.get(socket);
      if (answers === undefined) return 0;
      answers.add(outgoing);
      outgoing.on('close', () => answers.delete(outgoing));
      return answers.size;
    },
    isAnswering: (socket) =>
      [...(running.get(socket) ?? [])].some(
        ({ headersSent, writableFinished }) => headersSent && !writableFinished,
      ),
    waiting: () => [...running.values()].flatMap((answers) => [...answers]),
    closeIdle() {
      for (const [socket, { size }] of running) if (size === 0) socket.destroySoon();
    },
    count: () => raw.size,
    breakAll() {
      for (const socket of raw) socket.destroy();
    },
  };
}
