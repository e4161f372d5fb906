import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { systemCode } from '../cache/errors.ts';
import { explainCertificate } from './certificate-fault.ts';

/** Milliseconds for the handshake. */
const LIMIT_MS = 10_000;

/**
 * Why a client that knows only these authorities refuses the TLS certificate of an `https://` URL. Nodes connect like this,
 * without a proxy.
 * @param authorities PEM texts
 * @returns undefined if the client accepts it, or if the server can't be reached, which a request reports
 */
export function faultOfTrust(url: string, authorities: readonly string[]): Promise<string | undefined> {
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
    const end = (fault: string | undefined): void => {
      socket.destroy();
      resolve(fault);
    };
    socket
      .once('secureConnect', () => {
        end(undefined);
      })
      .once('timeout', () => {
        end(undefined);
      })
      .once('error', (error: Error) => {
        const code = systemCode(error) ?? '';
        const refused = { host, chain: [], now: new Date() };
        end(explainCertificate({ code, message: error.message }, refused) && error.message);
      });
  });
}
