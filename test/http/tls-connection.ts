import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { X509Certificate } from 'node:crypto';
import type { Place } from './raw-connection.ts';

/** Shakes hands, looking at no certificate unless told. */
export function openTls({ host, port }: Place, options: ConnectionOptions = {}): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, ...options }, () => {
      socket.off('error', reject);
      // What nobody waits for must not end the test run.
      socket.on('error', () => undefined);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** The certificate that a server shows to a new connection. */
export async function certificateShown(place: Place): Promise<X509Certificate> {
  const socket = await openTls(place);
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return new X509Certificate(raw);
}

export function placeOf(url: string): Place {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) };
}
