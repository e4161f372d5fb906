import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { systemCode } from '../cache/errors.ts';
import { explainCertificate } from './certificate-fault.ts';

/** Milliseconds for the handshake. */
const LIMIT_MS = 10_000;

/** Result of a TLS handshake. */
export interface TlsTrust {
  /** Undefined if there was no handshake, which a request explains. */
  readonly isTrusted: boolean | undefined;
  /** Why the certificate is refused. */
  readonly fault: string | undefined;
}

/**
 * Whether a client that knows only these authorities trusts the TLS certificate of an `https://` URL. Nodes connect like this,
 * without a proxy.
 * @param authorities PEM texts
 */
export function testTrust(url: string, authorities: readonly string[]): Promise<TlsTrust> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  return new Promise((resolve) => {
    const socket = connect({
      host,
      port: port === '' ? 443 : Number(port),
      ca: [...authorities],
      timeout: LIMIT_MS,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    const end = (isTrusted: boolean | undefined, fault?: string): void => {
      socket.destroy();
      resolve({ isTrusted, fault });
    };
    socket
      .once('secureConnect', () => {
        end(true);
      })
      .once('timeout', () => {
        end(undefined);
      })
      .once('error', (error: Error) => {
        const code = systemCode(error) ?? '';
        const refused = { host, chain: [], now: new Date() };
        if (explainCertificate({ code, message: error.message }, refused) === undefined) end(undefined);
        // Newer versions of Node add advice about an option of Node itself.
        else end(false, error.message.replace(/; if the root CA is installed locally, .*$/, ''));
      });
  });
}
