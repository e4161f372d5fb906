import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSecureContext, TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLdapPeople } from '../../src/access/ldap.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { type CertificateFiles, makeCertificates } from './certificates.ts';
import { faultOf } from './fault.ts';

/*
 * LDAP messages as bytes (RFC 4511, 4.1.1), of servers that no real slapd would be. ldapts counts its own from 2.
 */
const RESULT = { success: 0, refused: 49, busy: 51, referral: 10 };
const bindResponse = (id: number, result: number) =>
  Buffer.of(0x30, 0x0c, 2, 1, id, 0x61, 7, 0x0a, 1, result, 4, 0, 4, 0);
const startTlsResponse = (id: number, result: number) =>
  Buffer.of(0x30, 0x0c, 2, 1, id, 0x78, 7, 0x0a, 1, result, 4, 0, 4, 0);
const FIRST_ID = 2;
const SECOND_ID = 3;

let folder: string;
let certificates: CertificateFiles;
let server: Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-ldap-'));
  certificates = makeCertificates(folder);
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(async () => {
  // Whatever happened, the client has closed its side.
  await expect.poll(openConnections, { timeout: 20_000, interval: 5 }).toBe(0);
  server.close();
});

function openConnections(): Promise<number> {
  return new Promise((resolve) => {
    server.getConnections((_error, count) => {
      resolve(count);
    });
  });
}

/** @param serve what a server does with a connection */
async function openPeople(
  serve: (socket: Socket) => void,
  { scheme = 'ldap', startTls = false, limit = 150, hasGroup = true, ca = certificates.ca } = {},
) {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return createLdapPeople(
    {
      ...{
        url: `${scheme}://localhost:${port}`,
        startTls,
        caFile: scheme === 'ldaps' || startTls ? ca : undefined,
      },
      bindDn: 'uid={user},dc=example,dc=org',
      readGroup: undefined,
      uploadGroup: hasGroup ? 'cn=uploaders,dc=example,dc=org' : undefined,
      adminGroup: undefined,
    },
    {
      report: (problem) => {
        throw problem;
      },
      limit,
    },
  );
}

async function secureContext() {
  return createSecureContext({
    key: await readFile(certificates.key),
    cert: await readFile(certificates.certificate),
  });
}

const silent = (socket: Socket) => void socket.resume();

describe('an LDAP server that is in trouble is unavailable, and never a wrong password', () => {
  it.each([
    ['accepts and says nothing', silent, {}],
    ['accepts and says nothing, where StartTLS is asked for', silent, { startTls: true }],
    ['accepts and says nothing, where TLS is spoken', silent, { scheme: 'ldaps' }],
    [
      'agrees to StartTLS and says nothing more',
      (socket: Socket) => socket.once('data', () => socket.write(startTlsResponse(FIRST_ID, RESULT.success))),
      { startTls: true },
    ],
    [
      'accepts the password and is silent on groups',
      (socket: Socket) => socket.once('data', () => socket.write(bindResponse(FIRST_ID, RESULT.success))),
      {},
    ],
    ['talks nonsense', (socket: Socket) => socket.resume().write('HTTP/1.1 400 Bad Request\r\n\r\n'), {}],
  ])('within its limit when it %s', async (_what, serve, options) => {
    const people = await openPeople(serve, options);
    const { code, message } = await faultOf(() => people.verify('alice', 'secret'));
    expect(code).toBe('unavailable');
    expect(message).toMatch(/^ldaps?:\/\/localhost:\d+: no answer within 0.15 s$/);
  });

  it('and says the time of this machine if its certificate has expired', async () => {
    const ca = await createAuthority(folder, 'site-ca');
    const expired = await ca.issue('expired', { alternativeNames: 'DNS:localhost', isExpired: true });
    const serve = (socket: Socket): void => {
      const context = createSecureContext({ key: expired.privateKey, cert: expired.certificate });
      new TLSSocket(socket, { isServer: true, secureContext: context }).on('error', () => undefined);
    };
    const people = await openPeople(serve, { scheme: 'ldaps', ca: ca.certificateFile, limit: 20_000 });
    const { code, message } = await faultOf(() => people.verify('alice', 'secret'));
    expect(code).toBe('unavailable');
    expect(message).toMatch(
      /: certificate has expired; this machine's clock says 20\S+ \S+ UTC: set the clock that is wrong, or renew the certificate or its CA$/,
    );
  });

  it.each([
    ['hangs up at once', (socket: Socket) => socket.destroy(), {}],
    ['hangs up on the question', (socket: Socket) => socket.once('data', () => socket.destroy()), {}],
    ['hangs up instead of TLS', (socket: Socket) => socket.destroy(), { scheme: 'ldaps' }],
    [
      'is busy',
      (socket: Socket) => socket.once('data', () => socket.write(bindResponse(FIRST_ID, RESULT.busy))),
      {},
    ],
    [
      'sends us elsewhere',
      (socket: Socket) => socket.once('data', () => socket.write(bindResponse(FIRST_ID, RESULT.referral))),
      {},
    ],
    [
      'knows no StartTLS: the password is not sent in plain text then',
      (socket: Socket) =>
        socket.on('data', (bytes: Buffer) => {
          if (bytes.includes('secret')) socket.write(bindResponse(SECOND_ID, RESULT.success));
          else socket.write(startTlsResponse(FIRST_ID, 2));
        }),
      { startTls: true },
    ],
  ])('at once when it %s', async (_what, serve, options) => {
    // The limit is longer than the test may take: it isn't what ends these.
    const people = await openPeople(serve, { ...options, limit: 600_000 });
    expect((await faultOf(() => people.verify('alice', 'secret'))).code).toBe('unavailable');
  });

  it('when nothing listens there', async () => {
    const people = await openPeople(silent);
    await once(server.close(), 'close');
    const { code, message } = await faultOf(() => people.verify('alice', 'secret'));
    expect(code).toBe('unavailable');
    expect(message).toContain('connection refused (ECONNREFUSED)');
  });

  it('when the connection breaks after the bind, and groups are not asked for over a new one', async () => {
    let connections = 0;
    const people = await openPeople(
      (socket) => {
        connections++;
        socket.once('data', () => {
          socket.end(bindResponse(FIRST_ID, RESULT.success));
        });
      },
      { limit: 600_000 },
    );
    expect((await faultOf(() => people.verify('alice', 'secret'))).code).toBe('unavailable');
    expect(connections).toBe(1);
  });
});

describe('an LDAP server that refuses somebody', () => {
  it.each([19, 32, 34, 48, 49, 53])('by the result %i has said no, and is not in trouble', async (result) => {
    const people = await openPeople(
      (socket) => socket.once('data', () => socket.write(bindResponse(FIRST_ID, result))),
      { limit: 600_000 },
    );
    expect(await people.verify('alice', 'secret')).toBeUndefined();
  });
});

describe('somebody on the line', () => {
  /**
   * A server that refuses every password, behind somebody who adds bytes to its plain answer to StartTLS.
   * @param injected comes right behind the answer
   */
  const openAttacked = async (injected: Buffer) => {
    const context = await secureContext();
    return openPeople(
      (socket) => {
        socket.once('data', () => {
          socket.write(Buffer.concat([startTlsResponse(FIRST_ID, RESULT.success), injected]));
          const secure = new TLSSocket(socket, { isServer: true, secureContext: context });
          secure.on('error', () => undefined);
          secure.once('data', () => secure.write(bindResponse(SECOND_ID, RESULT.refused)));
        });
      },
      { startTls: true, limit: 20_000, hasGroup: false },
    );
  };

  it('changes nothing by being absent', async () => {
    const people = await openAttacked(Buffer.alloc(0));
    expect(await people.verify('alice', 'wrong')).toBeUndefined();
  });

  it('cannot turn the refusal of a password into a success by what is than the answer came before TLS', async () => {
    // A "success" that lacks its last 14 bytes, the text of its field serverSaslCreds (RFC 4511, 4.2.2): there the
    // true answer fits in. Without the check, ldapts takes this for a success.
    const trueAnswer = bindResponse(SECOND_ID, RESULT.refused);
    const injected = Buffer.of(0x30, 0x1c, 2, 1, SECOND_ID, 0x61, 0x17, 0x0a, 1, 0, 4, 0, 4, 0, 0x87, 0x0e);
    expect(trueAnswer).toHaveLength(0x0e);
    const people = await openAttacked(injected);
    const { code, message } = await faultOf(() => people.verify('alice', 'wrong'));
    expect(code).toBe('unavailable');
    expect(message).toContain('than the answer came before TLS');
  });
});

describe('the CA file', () => {
  it.each([
    ['is missing', undefined, 'ENOENT'],
    ['holds no certificate', 'x', 'it contains no PEM certificate'],
    ['is broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', ''],
  ])('that %s is a config error from the start', async (_what, text, reason) => {
    const caFile = join(folder, 'ca-under-test.pem');
    await rm(caFile, { force: true });
    if (text !== undefined) await writeFile(caFile, text);
    const { code, message } = await faultOf(() =>
      createLdapPeople(
        {
          ...{ url: 'ldaps://localhost', startTls: false, caFile, bindDn: 'uid={user}' },
          ...{ readGroup: undefined, uploadGroup: undefined, adminGroup: undefined },
        },
        { report: () => undefined },
      ),
    );
    expect(code).toBe('config');
    expect(message).toContain(`${caFile}: can't be used to check the LDAP server: ${reason}`);
  });
});
