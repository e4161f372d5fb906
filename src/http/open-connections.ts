import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Server as TlsServer } from 'node:tls';

/** The connections of a server, and whether something is being answered on them. */
export interface OpenConnections {
  /** To be called for every request. @returns how many of its connection are unanswered, with this one */
  note(incoming: IncomingMessage, outgoing: ServerResponse): number;
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

export function trackConnections(server: Server): OpenConnections {
  /** With the number of requests that each has unanswered. */
  const running = new Map<Socket, number>();
  const raw = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    raw.add(socket);
    socket.once('close', () => raw.delete(socket));
  });
  server.on(server instanceof TlsServer ? 'secureConnection' : 'connection', (socket: Socket) => {
    running.set(socket, 0);
    socket.once('close', () => running.delete(socket));
  });
  const add = (socket: Socket, number: number): void => {
    const count = running.get(socket);
    if (count !== undefined) running.set(socket, count + number);
  };
  return {
    note({ socket }, outgoing) {
      add(socket, 1);
      outgoing.on('close', () => {
        add(socket, -1);
      });
      return running.get(socket) ?? 0;
    },
    closeIdle() {
      for (const [socket, count] of running) if (count === 0) socket.destroySoon();
    },
    count: () => raw.size,
    breakAll() {
      for (const socket of raw) socket.destroy();
    },
  };
}
