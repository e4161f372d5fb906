import { Client } from 'ldapts';
import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { LdapServer } from './ldap-server.ts';

/**
 * Runs `work` with a new connection, which is closed in any case. ldapts doesn't make the sockets, because it would
 * reconnect without TLS and bind, and its limit doesn't include the TLS handshake; see also `watchPlaintext`.
 * @param limit milliseconds, from the look-up of the host to the end of `work`
 * @throws errors of node and ldapts
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
    // Also ends pending operations.
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
 * Allows only the answer to StartTLS in plain text. An attacker could append the beginning of a forged "success", which
 * ldapts would complete with the first bytes through TLS (the kind of CVE-2011-0411).
 * @returns a function that stops watching, and throws if there were more bytes
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
      throw new Error('more data than the answer came before TLS began');
    }
  };
}

/** Bytes of the LDAP message, including its head: a BER sequence (X.690, 8.1.3). */
function messageLength(bytes: Buffer): number | undefined {
  const [tag, length = 0] = bytes;
  if (tag !== 0x30) return undefined;
  if (length < 0x80) return 2 + length;
  const width = length - 0x80;
  return width >= 1 && width <= 4 && bytes.length >= 2 + width
    ? 2 + width + bytes.readUIntBE(2, width)
    : undefined;
}

/** An error event without a listener ends the process, and ldapts removes its own listeners. */
function ignoreErrors(socket: Socket): void {
  socket.on('error', () => undefined);
}
