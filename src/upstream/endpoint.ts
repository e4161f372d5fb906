import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { rootCertificates } from 'node:tls';
import { urlToHttpOptions } from 'node:url';
import { systemCode } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { faultOfConnection } from './connection-fault.ts';
import { sendBody } from './send-body.ts';

/** A service of another cache, below one URL. */
export interface Endpoint {
  /** Without user name and password: for messages. */
  readonly url: string;
  /** Whether the URL has a user name. */
  readonly hasUser: boolean;
  /**
   * Sends a request for a path below the URL, such as `/<key>`, and waits for the head of the answer.
   * @throws CacheError `unavailable`; a `PassingFault` where trying again may help
   */
  send(method: string, path: string, request?: EndpointRequest): Promise<IncomingMessage>;
}

export interface EndpointRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Pieces are asked for only when the other side wants them. */
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>;
}

export interface EndpointOptions {
  /** Certificates in PEM that sign the server's, beside those that Node knows. */
  readonly ca: readonly string[];
  /** Longest wait for something to move, in milliseconds. */
  readonly idleLimit: number;
}

/** @param base URL without `/` at its end; user name and password in it are sent as HTTP Basic (RFC 7617) */
export function createEndpoint(base: string, { ca, idleLimit }: EndpointOptions): Endpoint {
  const parsed = new URL(base);
  const { auth, hostname, port } = urlToHttpOptions(parsed);
  const isTls = parsed.protocol === 'https:';
  const url = withoutPassword(base);
  const fixed = {
    ...{ hostname, port, timeout: idleLimit },
    ...(auth === undefined ? {} : { auth }),
    agent: isTls
      ? new HttpsAgent({ keepAlive: true, ...(ca.length === 0 ? {} : { ca: [...rootCertificates, ...ca] }) })
      : new HttpAgent({ keepAlive: true }),
  };
  const folder = parsed.pathname.replace(/\/+$/, '');
  let hasAnswered = false;

  const send: Endpoint['send'] = (method, path, { headers = {}, body } = {}) =>
    new Promise((resolve, reject) => {
      const options = { ...fixed, method, headers, path: folder + path };
      const request = isTls ? httpsRequest(options) : httpRequest(options);
      let answer: IncomingMessage | undefined;
      request
        .once('response', (response) => {
          answer = response;
          hasAnswered = true;
          resolve(response);
        })
        .on('timeout', () => {
          const what = answer === undefined ? 'no answer' : 'nothing more';
          const fault = new PassingFault(`${url}${path}: ${what} came within ${idleLimit / 1000} s`);
          (answer ?? request).destroy(fault);
        })
        .on('error', (error) => {
          // The other side may close a connection that is kept just when it is used again.
          const isStale = request.reusedSocket && answer === undefined && systemCode(error) === 'ECONNRESET';
          if (isStale && !isPieces(body)) resolve(send(method, path, { headers, ...(body && { body }) }));
          else reject(faultOfConnection(error, url + path, { hasAnswered }));
        });
      if (isPieces(body)) sendBody(request, body);
      else request.end(body);
    });

  return { url, hasUser: auth !== undefined, send };
}

function isPieces(body: EndpointRequest['body']): body is AsyncIterable<Uint8Array> {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** A URL as it may be shown. */
function withoutPassword(url: string): string {
  return url.replace(/^(https?:\/\/)[^/?#]*@/i, '$1');
}
