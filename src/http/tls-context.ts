import { X509Certificate } from 'node:crypto';
import type { Server as TlsServer, ServerOptions } from 'node:https';
import type { TLSSocket } from 'node:tls';

/** Certificate and key of an HTTPS server, in PEM. */
export interface TlsOptions {
  readonly certificate: string;
  readonly privateKey: string;
  /** The CA of client certificates; undefined: the server requests none. */
  readonly clientCa: string | undefined;
}

export function secureContextOf({ certificate, privateKey, clientCa }: TlsOptions): SecureOptions {
  return {
    cert: certificate,
    key: privateKey,
    minVersion: 'TLSv1.2',
    // Optional: a client without a certificate may still read, or have a password.
    ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }),
  };
}

type SecureOptions = Pick<
  ServerOptions,
  'cert' | 'key' | 'minVersion' | 'ca' | 'requestCert' | 'rejectUnauthorized'
>;

/**
 * Keeps connections whose client certificate can't be verified: the client may still read, or have a password. OpenSSL leaves
 * the fault in its error queue, for which node would reset the connection after this event. Parsing any certificate
 * clears the queue.
 */
export function keepUnverifiedClients(server: TlsServer, { certificate }: TlsOptions): void {
  server.on('secureConnection', (socket: TLSSocket) => {
    if (!socket.authorized) new X509Certificate(certificate);
  });
}
