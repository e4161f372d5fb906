import { getRequestListener } from '@hono/node-server';
import type { Hono } from 'hono';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { HttpEnv } from './app.ts';

/** Where to listen. */
export interface ListenAddress {
  readonly host: string;
  /** 0 for a free one. */
  readonly port: number;
}

/** A server that listens. */
export interface Listener {
  /** `http://HOST:PORT` as it really is. */
  readonly url: string;
  readonly port: number;
  /**
   * Takes no more connections, lets running answers finish, and breaks those that still run after `limit` ms.
   * @returns how many were broken
   */
  close(limit: number): Promise<number>;
}

/** A connection on which nothing moves for this long is given up; uploads and downloads may take all the time they want. */
const IDLE_LIMIT_MS = 120_000;

/** @throws CacheError `usage` when the address can't be listened on */
export async function createListener(app: Hono<HttpEnv>, { host, port }: ListenAddress): Promise<Listener> {
  const answer = getRequestListener(app.fetch, {
    errorHandler: () => new Response('bad request\n', { status: 400 }),
  });
  const server = createServer(
    {
      // The limit on a whole request would cut off a long upload. The one on its head stays (60 s).
      requestTimeout: 0,
      keepAliveTimeout: 30_000,
      noDelay: true,
    },
    // What comes before the routes can fail only by a request that is none.
    (incoming, outgoing) => void answer(incoming, outgoing),
  );
  server.timeout = IDLE_LIMIT_MS;
  // A client that waits to be asked for its body is asked by the route, after access and size are checked.
  server.on('checkContinue', (incoming, outgoing) => void answer(incoming, outgoing));
  await listen(server, host, port);
  const address = server.address() as AddressInfo;
  return {
    url: `http://${formatHost(address.address)}:${address.port}`,
    port: address.port,
    close: (limit) => close(server, limit),
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

async function close(server: Server, limit: number): Promise<number> {
  let open = 0;
  const closed = new Promise<void>((resolve) => {
    server.close(() => {
      resolve();
    });
  });
  // Connections become idle one after the other; node closes only those that are so at the time of the call.
  const sweeping = setInterval(() => {
    server.closeIdleConnections();
  }, 50);
  const breaking = setTimeout(() => {
    server.getConnections((_error, count) => {
      open = count;
      server.closeAllConnections();
    });
  }, limit);
  await closed;
  clearInterval(sweeping);
  clearTimeout(breaking);
  return open;
}
