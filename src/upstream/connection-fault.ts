import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, isProgrammingError, systemCode } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { explainCertificate, type Chain } from './certificate-fault.ts';
import { throughProxy, type Proxy } from './proxy.ts';

/** A connection was interrupted. */
const LOST = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** What a failed connection means, and what to do, by its code. */
const MEANINGS: Readonly<Record<string, (url: URL) => string>> = {
  ECONNREFUSED: () => 'no server listens there; start it, or correct the URL',
  ENOTFOUND: ({ hostname }) =>
    `the host name ${hostname} is unknown; correct it, or add it to /etc/hosts or the DNS`,
  EAI_AGAIN: ({ hostname }) =>
    `no name server answers for ${hostname}; look at the network, or name the host by its address`,
  EHOSTUNREACH: () => 'the host does not answer; look at the network',
  EHOSTDOWN: () => 'the host does not answer; look at the network',
  ENETUNREACH: () => 'this machine has no route to it; look at the network',
  ENETDOWN: () => 'the network of this machine is down',
};

/** The server can't be reached: worth another attempt only if it has answered before. */
const ABSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']);

/** OpenSSL's message for a TLS alert of the other side. */
const ALERT = /SSL routines:[^:]*:([^:]*\balert\b[^:]*)/;

/** The facts about a failed connection. */
interface Connection {
  /** Whether the server has answered any request before. */
  readonly hasAnswered: boolean;
  readonly proxy: Proxy | undefined;
  readonly chain?: Chain;
}

/** Explains a failed connection; returns any other error unchanged. @param url without password */
export function faultOfConnection(
  error: unknown,
  url: string,
  { hasAnswered, proxy, chain = [] }: Connection,
): Error {
  if (isProgrammingError(error)) return error;
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
  const reach = `${url}: can't be reached (${code})`;
  const meaning = MEANINGS[code]?.(new URL(url));
  if (code === 'EAI_AGAIN' && proxy === undefined)
    return new PassingFault(`${reach}: ${meaning ?? ''}`, { cause: error });
  if (LOST.has(code) || (hasAnswered && ABSENT.has(code)))
    return new PassingFault(`${url}: the connection was lost (${code})${throughProxy(proxy)}`, {
      cause: error,
    });
  if (proxy !== undefined && ABSENT.has(code)) {
    const { name, variable } = proxy;
    const what = `${url}: the proxy ${name} (${variable}) can't be reached (${code})`;
    const advice = `correct ${variable}, or name the host in NO_PROXY`;
    return new CacheError('unavailable', `${what}; ${advice}`, { cause: error });
  }
  const message = error instanceof Error ? error.message : '';
  const refused = { host: new URL(url).hostname, chain, now: new Date() };
  const reason = meaning ?? explainCertificate({ code, message }, refused) ?? explainSpeech(code, message);
  return new CacheError('unavailable', reason === undefined ? reach : `${reach}: ${reason}`, {
    cause: error,
  });
}

/** Explains a mismatch of protocols. */
function explainSpeech(code: string, message: string): string | undefined {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const [, alert] = ALERT.exec(message) ?? [];
    if (alert !== undefined) return `the server refused the TLS handshake: ${quoteBriefly(alert)}`;
    return 'not an HTTPS server; try http://';
  }
  return code.startsWith('HPE_') ? 'not an HTTP server; try https://' : undefined;
}
