import { X509Certificate } from 'node:crypto';
import type { ClientRequest } from 'node:http';
import { TLSSocket, type DetailedPeerCertificate } from 'node:tls';

/** No chain is as long, and nobody else's may go on for ever. */
const LONGEST_CHAIN = 10;

/**
 * Looks at the certificates that the other side of a request shows.
 * @returns asked when the request failed: its own first, then those of its issuers, as far as they were sent or are known;
 * empty where none came
 */
export function watchChain(request: ClientRequest): () => readonly X509Certificate[] {
  let shown: DetailedPeerCertificate | undefined;
  request.once('socket', (socket) => {
    if (!(socket instanceof TLSSocket) || request.reusedSocket) return;
    // A socket whose certificate is refused is destroyed in a listener of this event, before anybody else may look. Not
    // getPeerX509Certificate: it takes the certificate away from Node's own look at it, in Node 20.
    socket.prependOnceListener('secure', () => {
      shown = socket.getPeerCertificate(true);
    });
  });
  return () => {
    const chain: X509Certificate[] = [];
    let certificate = shown;
    while (certificate?.raw !== undefined && chain.length < LONGEST_CHAIN) {
      chain.push(new X509Certificate(certificate.raw));
      // One that signed itself is its own issuer.
      certificate = certificate.issuerCertificate === certificate ? undefined : certificate.issuerCertificate;
    }
    return chain;
  };
}
