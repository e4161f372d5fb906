import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { urlToHttpOptions } from 'node:url';
import { systemCode } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { faultOfConnection } from './connection-fault.ts';
import { proxyFor, throughProxy, type Environment, type Proxy } from './proxy.ts';
import { watchChain } from './certificate-chain.ts';
import { sendBody } from './send-body.ts';
import { TunnelAgent } from './tunnel.ts';

/** A service of another cache, below one URL. */
export interface Endpoint {
  /** Without user name and password: for messages. */
  readonly url: string;
  /** Whether the URL has a user name. */
  readonly hasUser: boolean;
  /** The proxy that requests go through. */
  readonly proxy: Proxy | undefined;
  /** Milliseconds to wait without any bytes. */
  readonly idleLimit: number;
  /**
   * Sends a request for a path below the URL, such as `/<key>`, and waits for the head of the answer.
   * @throws CacheError `unavailable`; a `PassingFault` if another attempt may help
   */
  send(method: string, path: string, request?: EndpointRequest): Promise<IncomingMessage>;
}

export interface EndpointRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces are only read after the server accepts the request. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface EndpointOptions {
  /** CA certificates of the server in PEM; if empty, Node's own. */
  readonly ca: readonly string[];
  /** Environment variables with proxies: see `proxyFor`. */
  readonly environment: Environment;
  /** Milliseconds to wait without any bytes. */
  readonly idleLimit: number;
}

/** Concurrent connections: the caller may request all blobs of a long list at once. */
const CONNECTIONS = 8;

/**
 * @param base URL without a trailing `/`; sends its user name and password as HTTP Basic (RFC 7617)
 * @throws CacheError `config`: an unsupported proxy
 */
export function createEndpoint(base: string, options: EndpointOptions): Endpoint {
  const { ca, idleLimit, environment } = options;
  const parsed = new URL(base);
  const { auth, hostname, port } = urlToHttpOptions(parsed);
  const isTls = parsed.protocol === 'https:';
  const url = withoutPassword(base);
  const proxy = proxyFor(parsed, environment);
  // For https:// the proxy makes a tunnel; for http:// it gets the whole URL (RFC 9112, 3.2.2).
  const isForwarded = proxy !== undefined && !isTls;
  const pool = { keepAlive: true, maxSockets: CONNECTIONS };
  const tls = { ...pool, ...(ca.length === 0 ? {} : { ca: [...ca] }) };
  const fixed = {
    ...(isForwarded ? { hostname: proxy.hostname, port: proxy.port } : { hostname, port }),
    ...{ timeout: idleLimit, ...(auth !== undefined && { auth }) },
    agent: !isTls
      ? new HttpAgent(pool)
      : proxy === undefined
        ? new HttpsAgent(tls)
        : new TunnelAgent({ ...tls, url, proxy, idleLimit }),
  };
  const forwarded = isForwarded
    ? { Host: parsed.host, ...(proxy.authorization && { 'Proxy-Authorization': proxy.authorization }) }
    : {};
  const folder = (isForwarded ? parsed.origin : '') + parsed.pathname.replace(/(?<!\/)\/+$/, '');
  let hasAnswered = false;

  const send: Endpoint['send'] = (method, path, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const options = { ...fixed, method, headers: { ...forwarded, ...headers }, path: folder + path };
      const request = isTls ? httpsRequest(options) : httpRequest(options);
      const chain = watchChain(request);
      let answer: IncomingMessage | undefined;
      let head: NodeJS.Timeout | undefined;
      const tooSlow = (what: string, limit: number): Error =>
        new PassingFault(`${url}${path}: ${what} within ${limit / 1000} s${throughProxy(proxy)}`);
      const giveUp = (): void => {
        const what = answer === undefined ? 'no answer came' : 'nothing more came';
        (answer ?? request).destroy(tooSlow(what, idleLimit));
      };
      request
        .once('socket', () => {
          // Limits a head that drips; `sendBody` has limits of its own.
          if (!isPieces(body)) head = setTimeout(giveUp, idleLimit);
        })
        .once('close', () => {
          clearTimeout(head);
        })
        .once('response', (response) => {
          clearTimeout(head);
          answer = response;
          hasAnswered = true;
          resolve(response);
        })
        .on('timeout', giveUp)
        .on('error', (error) => {
          // The server may close an idle connection just when it is reused.
          const isStale = request.reusedSocket && answer === undefined && systemCode(error) === 'ECONNRESET';
          if (isStale && !isPieces(body)) resolve(send(method, path, { headers, ...(body && { body }) }));
          else reject(faultOfConnection(error, url + path, { hasAnswered, proxy, chain: chain() }));
        });
      if (isPieces(body)) sendBody(request, body, { idleLimit, tooSlow });
      else request.end(body);
    });

  return { url, hasUser: auth !== undefined, proxy, idleLimit, send };
}

function isPieces(body: EndpointRequest['body']): body is AsyncIterable<Uint8Array> {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** A URL without user name and password. */
function withoutPassword(url: string): string {
  return url.replace(/^(https?:\/\/)[^/?#]*@/i, '$1');
}
