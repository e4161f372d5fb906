import { X509Certificate } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import { TLSSocket, type DetailedPeerCertificate } from 'node:tls';

/** Limits a chain that a hostile server made endless; no real one is as long. */
const LONGEST_CHAIN = 10;

/**
 * Records the certificates of a request's server.
 * @returns a function to call after the request failed: the server's certificate, then its issuers as far as they were sent
 * or are known; empty if there were none
 */
export function watchChain(request: ClientRequest): () => readonly X509Certificate[] {
  let shown: DetailedPeerCertificate | undefined;
  request.once('socket', (socket) => {
    if (!(socket instanceof TLSSocket) || request.reusedSocket) return;
    // Node's listener of this event destroys a socket whose certificate is refused. In Node 20, getPeerX509Certificate
    // would break Node's own check.
    socket.prependOnceListener('secure', () => {
      shown = socket.getPeerCertificate(true);
    });
  });
  return () => {
    const chain: X509Certificate[] = [];
    let certificate = shown;
    while (certificate?.raw !== undefined && chain.length < LONGEST_CHAIN) {
      chain.push(new X509Certificate(certificate.raw));
      // A self-signed certificate is its own issuer.
      certificate = certificate.issuerCertificate === certificate ? undefined : certificate.issuerCertificate;
    }
    return chain;
  };
}
