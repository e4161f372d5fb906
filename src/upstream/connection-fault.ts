import { CacheError, systemCode } from '../cache/errors.ts';
import { PassingFault } from './attempts.ts';
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

/** How Node names what is wrong with a certificate (tls, "X509 certificate error codes"). */
const CERTIFICATE = /SELF_SIGNED|ISSUER|LEAF_SIGNATURE|CERT_/;

/** A failed connection as a person can act on it; any other error as it is. @param url without password */
export function faultOfConnection(
  error: unknown,
  url: string,
  { hasAnswered, proxy }: { readonly hasAnswered: boolean; readonly proxy: Proxy | undefined },
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
  return new CacheError('unavailable', `${url}: can't be reached (${code})${adviceOn(code)}`, {
    cause: error,
  });
}

function adviceOn(code: string): string {
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return ': its certificate is for another name; use that one';
  if (CERTIFICATE.test(code))
    return ': its certificate is signed by nobody known; give the certificate of its CA, or its own if it signed itself, with --ca FILE or [upstream] ca-file';
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) return ': no HTTPS is spoken there; is it http://?';
  if (code.startsWith('HPE_')) return ': no HTTP is spoken there; is it https://?';
  return '';
}
