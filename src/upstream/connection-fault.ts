import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, systemCode } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
import { explainCertificate, type Chain } from './certificate-fault.ts';
import { throughProxy, type Proxy } from './proxy.ts';

/** The other side, or the way to it, was there and broke off. */
const LOST = new Set([
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ECONNABORTED',
  'EAI_AGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** Nobody is there: worth another try only if somebody was before. */
const ABSENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN']);

/** OpenSSL's words for what the other side said last. */
const ALERT = /SSL routines:[^:]*:([^:]*\balert\b[^:]*)/;

/** What is known of a connection that failed. */
interface Connection {
  /** Whether the other side answered anything before. */
  readonly hasAnswered: boolean;
  readonly proxy: Proxy | undefined;
  readonly chain?: Chain;
}

/** A failed connection as a person can act on it; any other error as it is. @param url without password */
export function faultOfConnection(
  error: unknown,
  url: string,
  { hasAnswered, proxy, chain = [] }: Connection,
): Error {
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
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
  const reason = explainCertificate({ code, message }, refused) ?? explainSpeech(code, message);
  const what = `${url}: can't be reached (${code})${reason === undefined ? '' : `: ${reason}`}`;
  return new CacheError('unavailable', what, { cause: error });
}

/** What the two sides don't understand of one another. */
function explainSpeech(code: string, message: string): string | undefined {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    const [, alert] = ALERT.exec(message) ?? [];
    if (alert !== undefined) return `the other side broke off the TLS handshake: ${quoteBriefly(alert)}`;
    return 'no HTTPS is spoken there; is it http://?';
  }
  return code.startsWith('HPE_') ? 'no HTTP is spoken there; is it https://?' : undefined;
}
