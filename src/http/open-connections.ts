import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** The connections of a server, and whether something is being answered on them. */
export interface OpenConnections {
  /** To be called for every request. @returns how many of its connection are unanswered, with this one */
  note(incoming: IncomingMessage, outgoing: ServerResponse): number;
  /** Whether the head of an answer is out on the connection, and its end is not. */
  isAnswering(socket: Socket): boolean;
  /**
   * Closes those on which nothing is being answered: idle ones, and those that have sent no request, or half of one,
   * which node's own `closeIdleConnections` leaves.
   */
  closeIdle(): void;
  /** How many there are. */
  count(): number;
  /** Breaks all of them, also those that have not finished their TLS handshake. */
  breakAll(): void;
}

/** How many connections a server takes; each slow reader needs some 150 KiB. */
export interface ConnectionLimit {
  readonly most: number;
  /** Told, at most once a minute, how many were closed since the last time because there were too many. */
  readonly onRefused: (count: number) => void;
}

const TELL_INTERVAL_MS = 60_000;

/** Closes connections beyond the limit as soon as they come; those that are there go on. */
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
  /** With the answers of each that have not ended. */
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
