import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import type { AppParts } from '../../src/http/app.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer, type HttpServerOptions } from '../fixtures/http-server.ts';
import { lacks } from './outside-programs.ts';
import { ask, askRaw } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';
import { openTls } from './tls-connection.ts';
import { upload, type Upload } from './upload-client.ts';

const CONTENT = 'content of a blob';
const DIGEST = digestOf(CONTENT);
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const JSON_TEXT = JSON.stringify(membersOf(RAPID_CDN, { sha512: DIGEST }));
const UNSIGNED = JSON.stringify([JSON_TEXT, '']);
const PASSWORD = 'S3cret-word';

const ENTRY: Upload = { method: 'PUT', target: `/bdir/${KEY}` };

async function start(
  change: (usual: AppParts) => Partial<AppParts> = () => ({ access: { anonymous: 'upload' } }),
  options: HttpServerOptions = {},
): Promise<HttpServer> {
  const server = await startHttpServer({
    ...options,
    parts: (usual) => ({ ...usual, ...change(usual) }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const withAccess = (access: AccessControl) => start(() => ({ access }));

/** The reason in the one line of the log that has this status. */
async function reasonOf({ lines }: HttpServer, status: number): Promise<string | undefined> {
  await expect.poll(() => lines.filter((line) => line.status === status)).toHaveLength(1);
  const line = lines.find((one) => one.status === status);
  expect(JSON.stringify(lines)).not.toContain(PASSWORD);
  return line?.reason;
}

const basic = (name: string, password = PASSWORD): Upload => ({
  headers: { Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` },
});

/** "reader" may read, "nobody" has no role; both have the password. */
const withPassword: NonNullable<AccessControl['withPassword']> = (name, password) =>
  Promise.resolve(
    password === PASSWORD ? { name, role: name === 'reader' ? ('read' as const) : undefined } : undefined,
  );

describe('the log line of an upload that is refused for lack of rights has the reason', () => {
  it('403: uploads are off', async () => {
    const server = await start(() => ({}));
    await upload(server, CONTENT);
    expect(await reasonOf(server, 403)).toBe(
      'uploads are disabled; in config.ini, [access] anonymous = upload allows them to all clients, upload-users with htpasswd-file, client-ca-file or ldap-url to some',
    );
  });

  it('401: no name', async () => {
    const server = await withAccess({ anonymous: 'read', withPassword });
    await upload(server, CONTENT);
    expect(await reasonOf(server, 401)).toBe(
      'a user name and password are required; in slapos.cfg, write them into the upload URLs: http://USER:PASSWORD@HOST',
    );
  });

  it('401: a wrong password, which it does not show', async () => {
    const server = await withAccess({ anonymous: 'read', withPassword });
    await upload(server, CONTENT, basic('reader', `not ${PASSWORD}`));
    expect(await reasonOf(server, 401)).toBe(
      'wrong user name or password; correct them in the upload URLs of the client, or set a new password with htpasswd(1) or in LDAP',
    );
  });

  it('401: another kind of authentication', async () => {
    const server = await withAccess({ anonymous: 'read', withPassword });
    await upload(server, CONTENT, { headers: { Authorization: `Bearer ${PASSWORD}` } });
    expect(await reasonOf(server, 401)).toBe('only HTTP Basic authentication is supported (RFC 7617)');
  });

  it('403: a user without the role', async () => {
    const server = await withAccess({ anonymous: 'read', withPassword });
    await upload(server, CONTENT, basic('reader'));
    expect(await reasonOf(server, 403)).toBe(
      'reader may not do this; the role "upload" is required: in config.ini, add reader to upload-users in [access]',
    );
    expect(server.lines[0]).toMatchObject({ user: 'reader' });
  });

  it('403: a user who may not even read', async () => {
    const server = await withAccess({ anonymous: undefined, withPassword });
    await ask(server, `/bcache/${DIGEST}`, basic('nobody'));
    expect(await reasonOf(server, 403)).toBe(
      'nobody may not do this; the role "read" is required: in LDAP, add nobody to the group ldap-read-group in [access] of config.ini',
    );
  });

  it('429 and 503: who it is cannot be checked now', async () => {
    for (const [code, status] of [
      ['too-many', 429],
      ['unavailable', 503],
    ] as const) {
      const fault = new CacheError(code, 'the LDAP server ldap://10.0.0.1 is down');
      const server = await withAccess({ anonymous: 'read', withPassword: () => Promise.reject(fault) });
      await upload(server, CONTENT, basic('reader'));
      expect(await reasonOf(server, status)).toBe('the LDAP server ldap://10.0.0.1 is down');
    }
  });

  it.skipIf(lacks('openssl'))('403: no client certificate, or one that does not count', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shacache-refusal-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [clientCa, foreignCa] = [
      await createAuthority(folder, 'client-ca'),
      await createAuthority(folder, 'foreign-ca'),
    ];
    const pair = await clientCa.issue('server', { alternativeNames: 'IP:127.0.0.1' });
    const required =
      'a client certificate is required; in slapos.cfg, set shacache-cert-file, shacache-key-file, shadir-cert-file and shadir-key-file';
    for (const [client, more] of [
      [undefined, ''],
      [
        await foreignCa.issue('uploader'),
        '. The certificate of the client does not count: UNABLE_TO_VERIFY_LEAF_SIGNATURE; its CA must be in client-ca-file in [access]',
      ],
      [
        await clientCa.issue('expired', { isExpired: true }),
        /\. The certificate of the client does not count: CERT_HAS_EXPIRED; it is valid from [\w: ]+ GMT to [\w: ]+ GMT, and the clock of the server says 20.* UTC; renew it, or its CA in client-ca-file$/,
      ],
      [
        await clientCa.issue('a-server', { use: 'serverAuth' }),
        '. The certificate of the client does not count: INVALID_PURPOSE; it must be one for clients (clientAuth)',
      ],
      [
        await clientCa.issue('weak', { digest: 'sha1' }),
        '. The certificate of the client does not count: UNSPECIFIED; it may be too weak; replace it, with an RSA key of 2048 bits or more and SHA-256',
      ],
      [
        await clientCa.issue('nameless', { subject: '/O=somebody' }),
        '. The certificate of the client does not count: its subject has no single common name (CN)',
      ],
    ] as const) {
      const server = await start(
        () => ({ access: { anonymous: 'read', withCertificate: (name) => ({ name, role: 'upload' }) } }),
        { tls: { ...pair, clientCa: clientCa.certificate } },
      );
      // What is refused, such as SHA-1, must be sent first.
      const keys = client && {
        cert: client.certificate,
        key: client.privateKey,
        ciphers: 'DEFAULT@SECLEVEL=0',
      };
      const socket = await openTls(server, keys);
      socket.write('POST /bcache HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      await buffer(socket);
      const reason = await reasonOf(server, 403);
      expect(reason?.slice(0, required.length)).toBe(required);
      if (typeof more === 'string') expect(reason?.slice(required.length)).toBe(more);
      else expect(reason?.slice(required.length)).toMatch(more);
    }
  });
});

describe('the log line of a blob that is refused has the reason', () => {
  it('400: the path is no sha512', async () => {
    const server = await start();
    await upload(server, CONTENT, { method: 'PUT', target: '/bcache/abc' });
    expect(await reasonOf(server, 400)).toBe('not a sha512: "abc"; 128 lower-case hex digits are expected');
  });

  it('400: other bytes than announced', async () => {
    const server = await start();
    const other = digestOf('other');
    await upload(server, CONTENT, { method: 'PUT', target: `/bcache/${other}` });
    expect(await reasonOf(server, 400)).toBe(`the bytes have the sha512 ${DIGEST}, not ${other}`);
  });

  it('404 and 405: a mistyped URL', async () => {
    const server = await start();
    await upload(server, CONTENT, { target: '/wrong/bcache' });
    expect(await reasonOf(server, 404)).toBe(
      'not found: this is a cache with /bcache/<sha512>, /bdir/<key>, /slapos.cfg and /health',
    );
    await upload(server, CONTENT, { target: '/bdir' });
    expect(await reasonOf(server, 405)).toBe('method not allowed; use GET, HEAD');
  });

  it('413: too large, whether it says so or not', async () => {
    for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
      const server = await start(({ upload: usual }) => ({
        access: { anonymous: 'upload' },
        upload: { ...usual, maxBlobSize: 4 },
      }));
      const isChunked = 'Transfer-Encoding' in headers;
      await upload(server, isChunked ? `5\r\n12345\r\n0\r\n\r\n` : CONTENT, { headers });
      expect(await reasonOf(server, 413)).toBe(
        'larger than the limit of 4 bytes; in config.ini, raise max-blob-size in [upload]',
      );
    }
  });

  it('507: no room, with the figures', async () => {
    const server = await start(undefined, { minFreeSpace: 2 ** 50 });
    const { body } = await upload(server, CONTENT);
    expect(await reasonOf(server, 507)).toMatch(
      /^.*store: needs 0\.1 MiB and must keep 1073741824\.0 MiB in reserve \(\[upload\] min-free-space\); .* MiB is free.*$/,
    );
    // The client is not told of paths.
    expect(body.toString()).toMatch(/^the store is full \(request \S+\)\n$/);
  });

  it('500: a fault of the disk', async () => {
    const server = await start(undefined, {
      wrapStorage: (storage) => ({
        ...storage,
        create: () => Promise.reject(new CacheError('storage', '/srv/store/tmp/x: EROFS')),
      }),
    });
    const { body } = await upload(server, CONTENT);
    expect(await reasonOf(server, 500)).toBe('/srv/store/tmp/x: EROFS');
    expect(body.toString()).toMatch(/^the cache failed; its log has the reason \(request \S+\)\n$/);
  });

  it('400 and 417: a head that is none', async () => {
    const server = await start();
    await askRaw(server, 'POST /bcache HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    expect(await reasonOf(server, 400)).toBe('no Host header');
    await upload(server, '', { headers: { Expect: 'a miracle' } });
    expect(await reasonOf(server, 417)).toBe('the only supported expectation is 100-continue');
  });
});

describe('the log line of an entry that is refused has the reason', () => {
  it.each([
    ['no JSON', 'x', 'the entry is not JSON'],
    ['no pair', '[]', 'an entry is a JSON list of two strings: [JSON, SIGNATURE]'],
    [
      'no sha512',
      JSON.stringify(['{}', '']),
      'the entry is not a JSON object with a sha512: "sha512" is missing or not 128 lower-case hex digits',
    ],
  ])('400: %s', async (_what, body, reason) => {
    const server = await start();
    await upload(server, body, ENTRY);
    expect(await reasonOf(server, 400)).toBe(reason);
  });

  it('400: a key that is none, or another', async () => {
    const server = await start(({ upload: usual }) => ({
      access: { anonymous: 'upload' },
      upload: { ...usual, allowUnsigned: true },
    }));
    await server.addBlob(CONTENT);
    await upload(server, UNSIGNED, { ...ENTRY, target: '/bdir/a/b' });
    expect(await reasonOf(server, 400)).toBe(
      'not a key: "a/b": only one path segment of printable ASCII characters without space is allowed',
    );
    server.lines.length = 0;
    const other = '0'.repeat(32);
    await upload(server, UNSIGNED, { ...ENTRY, target: `/bdir/${other}` });
    expect(await reasonOf(server, 400)).toBe(
      `the entry does not belong under key ${other}: the md5 of its software_url ${RAPID_CDN} is ${KEY}`,
    );
  });

  it('403: not signed', async () => {
    const server = await start();
    await upload(server, UNSIGNED, ENTRY);
    expect(await reasonOf(server, 403)).toBe(
      'the entry is not signed; in slapos.cfg of the client, set signature-private-key-file',
    );
  });

  it('403: signed with a key that is not trusted', async () => {
    const server = await start();
    const { pair } = (await createTestSigner()).sign(JSON_TEXT);
    await upload(server, JSON.stringify(pair), ENTRY);
    expect(await reasonOf(server, 403)).toBe(
      'no trusted certificate verifies the signature; to accept it, add the certificate of the client (signature-certificate-file in its slapos.cfg) to signature-certificate-list in [signature] of config.ini. Certificates in [upstream] allow no uploads',
    );
  });

  it('409: without its blob', async () => {
    const server = await start(({ upload: usual }) => ({
      access: { anonymous: 'upload' },
      upload: { ...usual, allowUnsigned: true },
    }));
    await upload(server, UNSIGNED, ENTRY);
    expect(await reasonOf(server, 409)).toBe(
      `blob ${DIGEST} is missing; upload it to /bcache before the entry`,
    );
  });

  it('413: too large', async () => {
    const server = await start();
    await upload(server, ' '.repeat(70_000), ENTRY);
    expect(await reasonOf(server, 413)).toBe('larger than the limit of 65536 bytes for an entry');
  });
});

describe('the log line of other requests', () => {
  it('has no reason where nothing was refused: what is stored, and a miss', async () => {
    const server = await start();
    await upload(server, CONTENT);
    await ask(server, `/bcache/${digestOf('missing')}`);
    await ask(server, '/bdir/pypi:a=1');
    await expect.poll(() => server.lines).toHaveLength(3);
    expect(server.lines.map((line) => [line.status, 'reason' in line])).toEqual([
      [201, false],
      [404, false],
      [404, false],
    ]);
  });
});
