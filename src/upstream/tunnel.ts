import { request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https';
import { isIPv6 } from 'node:net';
import { PassThrough, type Duplex } from 'node:stream';
import { CacheError } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { faultOfConnection } from './connection-fault.ts';
import { throughProxy, wantedByProxy, type Proxy } from './proxy.ts';

export interface TunnelOptions extends AgentOptions {
  /** The requested URL, for messages. */
  readonly url: string;
  readonly proxy: Proxy;
  /** Milliseconds to wait for the proxy's answer. */
  readonly idleLimit: number;
}

/** HTTPS through the tunnel of a proxy (RFC 9110, 9.3.6), which sees only host and port. */
export class TunnelAgent extends HttpsAgent {
  readonly #tunnel: TunnelOptions;

  constructor(options: TunnelOptions) {
    super(options);
    this.#tunnel = options;
  }

  override createConnection(
    options: RequestOptions,
    created?: (error: Error | null, stream: Duplex) => void,
  ): undefined {
    const { hostname, port } = options;
    const place = `${isIPv6(hostname ?? '') ? `[${hostname ?? ''}]` : (hostname ?? '')}:${port ?? 443}`;
    openTunnel(place, this.#tunnel).then(
      (socket) => {
        const secured = { ...options, socket };
        created?.(null, super.createConnection(secured) ?? socket);
      },
      (error: unknown) => {
        // The type requires a stream; it is unused after an error.
        created?.(error instanceof Error ? error : new Error(String(error)), new PassThrough());
      },
    );
  }
}

/** @param place host and port at the end of the tunnel */
function openTunnel(place: string, { url, proxy, idleLimit }: TunnelOptions): Promise<Duplex> {
  const { hostname, port, authorization } = proxy;
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      ...{ method: 'CONNECT', hostname, port, path: place, agent: false, timeout: idleLimit },
      headers: { Host: place, ...(authorization && { 'Proxy-Authorization': authorization }) },
    });
    request
      .once('connect', ({ statusCode = 0, statusMessage = '' }, socket) => {
        if (statusCode >= 200 && statusCode < 300) {
          socket.setTimeout(0);
          resolve(socket);
          return;
        }
        socket.destroy();
        const answer = `${url}: answered ${[statusCode, statusMessage].join(' ').trim()}`;
        if (statusCode === 407) reject(new CacheError('unavailable', answer + wantedByProxy(proxy)));
        else if (statusCode >= 500) reject(new PassingFault(answer + throughProxy(proxy)));
        else reject(new CacheError('unavailable', answer + throughProxy(proxy)));
      })
      .once('timeout', () => {
        const what = `${url}: no answer came within ${idleLimit / 1000} s`;
        request.destroy(new PassingFault(what + throughProxy(proxy)));
      })
      .once('error', (error) => {
        reject(faultOfConnection(error, url, { hasAnswered: false, proxy }));
      })
      .end();
  });
}
