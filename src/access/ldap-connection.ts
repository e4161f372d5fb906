import { Client } from 'ldapts';
import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { LdapServer } from './ldap-server.ts';

/**
 * Works with a connection of its own, and closes it in any case. The sockets are made here and not by ldapts, for
 * three reasons: a deadline over everything, the TLS handshake too; ldapts would connect again by itself, without
 * TLS and without a bind, after a connection broke between two questions; and see `watchPlaintext`.
 * @param limit milliseconds for everything from the look-up of the host on
 * @throws whatever goes wrong, as it comes from node or ldapts
 */
export async function withLdapConnection<Result>(
  server: LdapServer,
  limit: number,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const sockets: Socket[] = [];
  const own = <Kind extends Socket>(socket: Kind): Kind => {
    sockets.push(socket);
    ignoreErrors(socket);
    return socket;
  };
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no answer within ${limit / 1000} s`));
    }, limit);
  });
  try {
    return await Promise.race([late, converse(server, own, work)]);
  } finally {
    clearTimeout(timer);
    // Breaks whatever still waits, too.
    for (const socket of sockets) {
      ignoreErrors(socket);
      socket.destroy();
    }
  }
}

async function converse<Result>(
  server: LdapServer,
  own: <Kind extends Socket>(socket: Kind) => Kind,
  work: (client: Client) => Promise<Result>,
): Promise<Result> {
  const socket = own(
    server.security === 'tls'
      ? connectTls(tlsOptions(server))
      : connectTcp({ host: server.host, port: server.port }),
  );
  await once(socket, server.security === 'tls' ? 'secureConnect' : 'connect');
  let refuseInjected = (): void => undefined;
  const client = new Client({
    url: `ldap://${isIP(server.host) === 6 ? `[${server.host}]` : server.host}:${server.port}`,
    createConnection: () => socket,
    createSecureConnection: () => {
      refuseInjected();
      return own(connectTls({ ...tlsOptions(server), socket }));
    },
  });
  try {
    if (server.security === 'start-tls') {
      refuseInjected = watchPlaintext(socket);
      await client.startTLS();
    }
    return await work(client);
  } finally {
    await client.unbind().catch(() => undefined);
  }
}

function tlsOptions({ host, port, secureContext }: LdapServer) {
  // Names are checked against `host`; a server name for TLS can't be an address (RFC 6066, 3).
  return { host, port, secureContext, ...(isIP(host) === 0 && { servername: host }) };
}

/**
 * Somebody on the line can add bytes to the server's answer before TLS begins. ldapts keeps the beginning of a
 * message for later and would complete it with what then comes through TLS: a forged "success" whose tail is the
 * true "wrong password" (the kind of CVE-2011-0411). So nothing but that one answer may come in plain text.
 * @returns a function that stops watching, and throws if there was more
 */
function watchPlaintext(socket: Socket): () => void {
  const pieces: Buffer[] = [];
  const keep = (piece: Buffer): void => {
    pieces.push(piece);
  };
  socket.on('data', keep);
  return () => {
    socket.off('data', keep);
    const received = Buffer.concat(pieces);
    if (received.length !== messageLength(received)) {
      throw new Error('something was slipped in before TLS began');
    }
  };
}

/** Bytes of the LDAP message that begins here, its head included: a BER sequence (X.690, 8.1.3). */
function messageLength(bytes: Buffer): number | undefined {
  const [tag, length = 0] = bytes;
  if (tag !== 0x30) return undefined;
  if (length < 0x80) return 2 + length;
  const width = length - 0x80;
  return width >= 1 && width <= 4 && bytes.length >= 2 + width
    ? 2 + width + bytes.readUIntBE(2, width)
    : undefined;
}

/** Without a listener an error event ends the process; ldapts removes listeners when it has enough. */
function ignoreErrors(socket: Socket): void {
  socket.on('error', () => undefined);
}
