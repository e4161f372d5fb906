import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { CacheError, messageOf, shortReasonOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { Answer } from './answer.ts';
import type { App } from './http-env.ts';
import {
  limitConnections,
  trackConnections,
  type ConnectionLimit,
  type OpenConnections,
} from './open-connections.ts';
import { keepUnverifiedClients, secureContextOf, type TlsOptions } from './tls-context.ts';
import { answerUnparsed } from './unparsed-request.ts';

/** An address to listen on. */
export interface ListenAddress {
  readonly host: string;
  /** 0: the system chooses a free port. */
  readonly port: number;
}

/** A TCP socket that listens already, by its file descriptor. */
export interface ListeningSocket {
  readonly fd: number;
}

/** A listening server. */
export interface Listener {
  /** `http://HOST:PORT` or `https://HOST:PORT`, with the actual port. */
  readonly url: string;
  /** The actual address, without brackets. */
  readonly host: string;
  readonly port: number;
  isListening(): boolean;
  /** Uses another certificate for new connections. */
  renew(tls: TlsOptions): void;
  /**
   * Accepts no more connections, lets running answers finish, and closes the remaining connections after `limit` ms.
   * @returns how many connections it closed
   */
  close(limit: number): Promise<number>;
}

/**
 * Closes a connection after this time without any bytes, or twice this time if node has bytes to send. The whole duration
 * of uploads and downloads is unlimited.
 */
const IDLE_LIMIT_MS = 120_000;
/** Pipelined requests of a connection, each of which takes memory; no known client sends a second. */
const SENT_AHEAD_LIMIT = 1000;
/** Limits a TLS handshake, which would also delay the shutdown of the server. */
const HANDSHAKE_LIMIT_MS = 10_000;

/**
 * @param tls omit it for plain HTTP
 * @param limit omit it for any number of connections, and of bytes that wait for them
 * @throws CacheError `usage` when it can't listen there
 */
export async function createListener(
  app: App,
  place: ListenAddress | ListeningSocket,
  tls?: TlsOptions,
  limit?: ConnectionLimit,
): Promise<Listener> {
  // Of the request that is passed to `answer`, which calls back synchronously.
  let asSent: Pick<IncomingMessage, 'method' | 'url'> & { readonly host?: string | undefined } = {};
  const answer = getRequestListener(
    (request, bindings) => {
      const { incoming, outgoing } = bindings as HttpBindings;
      incoming.method = asSent.method;
      incoming.url = asSent.url;
      incoming.headers.host = asSent.host;
      return app.fetch(request, { incoming, outgoing });
    },
    { errorHandler: () => new Response('bad request\n', { status: 400 }) },
  );
  // A limit for the whole request would end long uploads. Without it, the limit for its head must be explicit.
  const options = {
    ...{ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 30_000, noDelay: true },
    // The app refuses a missing Host, with a message.
    ...{ ServerResponse: Answer, requireHostHeader: false },
  };
  const begin: RequestListener = (incoming, outgoing) => {
    // @hono/node-server builds a URL, which fails without Host and for some IPv6 addresses; Hono changes answers to HEAD. The
    // app uses neither, so both get plain values, and the app the original ones.
    const { method, url, headers } = incoming;
    asSent = { method, url, host: headers.host };
    if (method === 'HEAD') incoming.method = 'GET';
    incoming.url = '/';
    headers.host = 'cache';
    void answer(incoming, outgoing);
  };
  const onRequest: RequestListener = (incoming, outgoing) => {
    if (connections.note(incoming, outgoing) > SENT_AHEAD_LIMIT) {
      incoming.socket.destroy();
      return;
    }
    // node emits hundreds of pipelined requests at once, and never closes an answer without a socket. So each request begins
    // when its answer has the socket, and opens no file before.
    if (outgoing.socket === null) {
      outgoing.once('socket', () => {
        begin(incoming, outgoing);
      });
    } else begin(incoming, outgoing);
  };
  const server =
    tls === undefined
      ? createServer(options, onRequest)
      : createTlsServer(
          { ...options, allowHalfOpen: true, handshakeTimeout: HANDSHAKE_LIMIT_MS, ...secureContextOf(tls) },
          onRequest,
        );
  if (server instanceof TlsServer && tls?.clientCa !== undefined) keepUnverifiedClients(server, tls);
  const connections = trackConnections(server);
  if (limit !== undefined) limitConnections(server, connections, limit);
  server.timeout = IDLE_LIMIT_MS;
  // A client that closes only its half still gets its answer. A client that is gone resets the connection.
  Object.assign(server, { httpAllowHalfOpen: true });
  // The route sends "100 Continue", after it has checked access and size.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
  server.on('clientError', (error: Error, socket: Socket) => {
    answerUnparsed(error, socket, connections.isAnswering(socket));
  });
  await ('fd' in place ? listenOnSocket(server, place) : listen(server, place));
  const address = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${formatHost(address.address)}:${address.port}`,
    host: address.address,
    port: address.port,
    isListening: () => server.listening,
    renew: (renewed) => {
      if (server instanceof TlsServer) server.setSecureContext(secureContextOf(renewed));
    },
    close: (limit) => close(server, connections, limit),
  };
}

/** Puts an IPv6 address in brackets, for URLs (RFC 3986, 3.2.2). */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

async function listen(server: Server, { host, port }: ListenAddress): Promise<void> {
  try {
    await tryToListen(server, { host, port });
  } catch (error) {
    throwProgrammingError(error);
    // IPv6 is disabled on this machine; the default address means all addresses.
    if (host === '::' && systemCode(error) === 'EAFNOSUPPORT')
      return listen(server, { host: '0.0.0.0', port });
    throw new CacheError('usage', `can't listen on ${formatHost(host)}:${port}: ${listenFault(error)}`, {
      cause: error,
    });
  }
}

async function listenOnSocket(server: Server, socket: ListeningSocket): Promise<void> {
  const what = `the socket with file descriptor ${socket.fd}`;
  try {
    await tryToListen(server, socket);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('usage', `can't listen on ${what}: ${shortReasonOf(error)}`, { cause: error });
  }
  const address = server.address();
  if (address !== null && typeof address === 'object') return;
  server.close();
  throw new CacheError('usage', `can't listen on ${what}: it is no TCP socket`);
}

function tryToListen(server: Server, place: ListenAddress | ListeningSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(place, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function listenFault(error: unknown): string {
  const code = systemCode(error) ?? '';
  switch (code) {
    case 'EADDRINUSE':
      return 'the port is in use; stop the other program or choose another with --listen';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address';
    case 'EACCES':
      return 'permission denied; ports below 1024 require root';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host name not found';
    default:
      return messageOf(error);
  }
}

async function close(server: Server, connections: OpenConnections, limit: number): Promise<number> {
  let broken = 0;
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  // Connections become idle one after the other.
  connections.closeIdle();
  const sweeping = setInterval(() => {
    connections.closeIdle();
  }, 50);
  const breaking = setTimeout(() => {
    broken = connections.count();
    connections.breakAll();
  }, limit);
  await closed;
  clearInterval(sweeping);
  clearTimeout(breaking);
  return broken;
}
