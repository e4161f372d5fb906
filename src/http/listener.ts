import { getRequestListener, type HttpBindings } from '@hono/node-server';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { CacheError, systemCode, throwProgrammingError } from '../cache/errors.ts';
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

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
}

/** A server that listens. */
export interface Listener {
  /** `http://HOST:PORT` or `https://HOST:PORT` as it really is. */
  readonly url: string;
  readonly port: number;
  /** Uses another certificate for connections from now on; those that are there go on. */
  renew(tls: TlsOptions): void;
  /**
   * Takes no more connections, lets running answers finish, and breaks those that still run after `limit` ms.
   * @returns how many were broken
   */
  close(limit: number): Promise<number>;
}

/**
 * A connection on which nothing moves for this long is given up, or for twice as long where node has something to send.
 * Uploads and downloads may take all the time they want.
 */
const IDLE_LIMIT_MS = 120_000;
/** Requests that a client may send without having read answers; no known one sends a second. Each takes memory. */
const SENT_AHEAD_LIMIT = 1000;
/** A client that connects and then says nothing of TLS; it would hold up the end of the server, too. */
const HANDSHAKE_LIMIT_MS = 10_000;

/**
 * @param tls left out for plain HTTP
 * @param limit left out where any number of connections may come
 * @throws CacheError `usage` when the address can't be listened on
 */
export async function createListener(
  app: App,
  { host, port }: ListenAddress,
  tls?: TlsOptions,
  limit?: ConnectionLimit,
): Promise<Listener> {
  // Of the request that is being handed over: the listener calls back before anything else has its turn.
  let asSent: Pick<IncomingMessage, 'method' | 'url'> = {};
  const answer = getRequestListener(
    (request, bindings) => {
      const { incoming, outgoing } = bindings as HttpBindings;
      incoming.method = asSent.method;
      incoming.url = asSent.url;
      return app.fetch(request, { incoming, outgoing });
    },
    { errorHandler: () => new Response('bad request\n', { status: 400 }) },
  );
  // The limit on a whole request would cut off a long upload. The one on its head would go with it if it weren't given.
  const options = {
    ...{ requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 30_000, noDelay: true },
    // The app refuses a missing Host, and in words.
    ...{ ServerResponse: Answer, requireHostHeader: false },
  };
  const begin: RequestListener = (incoming, outgoing) => {
    // @hono/node-server makes a URL of Host and target, and refuses what a URL can't hold: clients without Host, and
    // IPv6 addresses that aren't written in the shortest way. Hono makes another answer of one to HEAD. Nobody here
    // looks at the URL, and node itself leaves out the body: both are shown something plain, until they are through.
    const { method, url } = incoming;
    asSent = { method, url };
    if (method === 'HEAD') incoming.method = 'GET';
    incoming.url = '/';
    incoming.headers.host = 'cache';
    void answer(incoming, outgoing);
  };
  const onRequest: RequestListener = (incoming, outgoing) => {
    if (connections.note(incoming, outgoing) > SENT_AHEAD_LIMIT) {
      incoming.socket.destroy();
      return;
    }
    // Of requests that were sent ahead, node hands over hundreds together. Each begins when its answer has its turn: who
    // goes away before that has opened nothing, and would never be heard of, because such an answer isn't closed.
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
  if (limit !== undefined) limitConnections(server, limit);
  const connections = trackConnections(server);
  server.timeout = IDLE_LIMIT_MS;
  // Who has sent all and closed only that half is still answered. Who is gone resets what is sent to it.
  Object.assign(server, { httpAllowHalfOpen: true });
  // A client that waits to be asked for its body is asked by the route, after access and size are checked.
  server.on('checkContinue', onRequest);
  server.on('checkExpectation', onRequest);
  server.on('clientError', (error: Error, socket: Socket) => {
    answerUnparsed(error, socket, connections.isAnswering(socket));
  });
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${formatHost(address.address)}:${address.port}`,
    port: address.port,
    renew: (renewed) => {
      if (server instanceof TlsServer) server.setSecureContext(secureContextOf(renewed));
    },
    close: (limit) => close(server, connections, limit),
  };
}

/** An IPv6 address in brackets, as URLs want it (RFC 3986, 3.2.2). */
export function formatHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    await tryToListen(server, host, port);
  } catch (error) {
    throwProgrammingError(error);
    // A machine whose IPv6 is switched off altogether; the default address means "all there are".
    if (host === '::' && systemCode(error) === 'EAFNOSUPPORT') return listen(server, '0.0.0.0', port);
    throw new CacheError('usage', `can't listen on ${formatHost(host)}:${port}: ${listenFault(error)}`, {
      cause: error,
    });
  }
}

function tryToListen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
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
      return 'not allowed; ports below 1024 are for root';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the name is not known';
    default:
      return error instanceof Error ? error.message : String(error);
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
