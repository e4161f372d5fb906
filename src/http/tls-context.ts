import { X509Certificate } from 'node:crypto';
import type { Server as TlsServer, ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';

/** What makes it HTTPS, in PEM. */
export interface TlsOptions {
  readonly certificate: string;
  readonly privateKey: string;
  /** Whose client certificates count; undefined: none is asked for. */
  readonly clientCa: string | undefined;
}

export function secureContextOf({ certificate, privateKey, clientCa }: TlsOptions): SecureOptions {
  return {
    cert: certificate,
    key: privateKey,
    minVersion: 'TLSv1.2',
    // Asked for, but not demanded: who comes without one may still read, or have a password.
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }),
  };
}

type SecureOptions = Pick<
  ServerOptions,
  'cert' | 'key' | 'minVersion' | 'ca' | 'requestCert' | 'rejectUnauthorized'
>;

/**
 * Keeps connections whose client certificate can't be verified: who shows it may still read, or have a password.
 *
 * OpenSSL goes on after a signature that doesn't fit, but leaves the fault in its list of errors; node looks there when the
 * handshake is over, takes it for one of the connection, and resets it. This event comes just before, and node empties
 * the list whenever it reads a certificate.
 */
export function keepUnverifiedClients(server: TlsServer, { certificate }: TlsOptions): void {
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.authorized) new X509Certificate(certificate);
  });
}
