import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** The connections of a server with their running answers. */
export interface OpenConnections {
  /** Call it for every request. @returns the unanswered requests of its connection, including this one */
  note(incoming: IncomingMessage, outgoing: ServerResponse): number;
  /** Whether the connection has sent the head of an answer, but not its end. */
  isAnswering(socket: Socket): boolean;
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

/** The limit of a server's connections; each slow client needs some 150 KiB. */
export interface ConnectionLimit {
  readonly most: number;
  /** Called at most once a minute with the number of connections that were refused since. */
  readonly onRefused: (count: number) => void;
}

const TELL_INTERVAL_MS = 60_000;

/** Refuses new connections above the limit. */
export function limitConnections(server: Server, { most, onRefused }: ConnectionLimit): void {
  server.maxConnections = most;
  let refused = 0;
  let told = -Infinity;
  server.on('drop', () => {
    refused++;
    if (performance.now() - told < TELL_INTERVAL_MS) return;
    onRefused(refused);
    refused = 0;
    told = performance.now();
  });
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
    closeIdle() {
      for (const [socket, { size }] of running) if (size === 0) socket.destroySoon();
    },
    count: () => raw.size,
    breakAll() {
      for (const socket of raw) socket.destroy();
    },
  };
}
