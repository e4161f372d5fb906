import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { createTrustedCertificates } from '../../src/cache/signature.ts';
import type { AccessControl, Identity } from '../../src/http/access-control.ts';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { makePairByOpenssl, type OpensslPair } from '../fixtures/signing-keys.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { lacks, PLAIN_CURL, run, testedHosts } from './outside-programs.ts';
import { python } from './python-judge.ts';
import { ServeProcess } from './serve-process.ts';
import { everythingBelow } from './upload-client.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

let folder: string;
let archive: string;
let siteCa: IssuedCertificate;
let serverPair: IssuedCertificate;
let clientCa: IssuedCertificate;
let uploader: IssuedCertificate;
/** The uploader's certificate and that of the intermediate authority which issued it. */
let chainFile: string;
let signing: OpensslPair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-tls-'));
  archive = join(folder, 'archive');
  await writeFile(archive, incompressible(2_000_000));
  siteCa = await createAuthority(folder, 'site-ca');
  serverPair = await siteCa.issue('server', { alternativeNames: 'DNS:localhost,IP:127.0.0.1,IP:::1' });
  clientCa = await createAuthority(folder, 'client-ca');
  const intermediate = await clientCa.issue('intermediate', { isAuthority: true });
  uploader = await intermediate.issue('uploader', { use: 'clientAuth' });
  chainFile = join(folder, 'uploader.chain');
  await writeFile(chainFile, uploader.certificate + intermediate.certificate);
  signing = await makePairByOpenssl(folder, 'sign');
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Whoever has a certificate may upload, unless their name tells otherwise. */
function withCertificate(name: string): Identity {
  return { name, role: name === 'reader' ? 'read' : 'upload' };
}

async function start({
  host = '127.0.0.1',
  access = { anonymous: 'read', withCertificate },
}: { readonly host?: string; readonly access?: AccessControl } = {}): Promise<HttpServer> {
  const server = await startHttpServer({
    host,
    tls: { ...serverPair, clientCa: clientCa.certificate },
    parts: (usual) => ({
      ...usual,
      access,
      trusted: createTrustedCertificates([{ pem: signing.certificate, where: 'test' }]),
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

interface Files {
  readonly certificateFile: string;
  readonly keyFile: string;
}

function pythonUploads(
  server: Pick<HttpServer, 'url'>,
  client?: Files,
  ...more: readonly string[]
): Promise<Record<string, unknown>> {
  const certificate =
    client === undefined ? [] : ['--cert-file', client.certificateFile, '--key-file', client.keyFile];
  const command = ['upload', '--url', RAPID_CDN, '--file', archive, '--sign-key', signing.keyFile];
  return python(server.url, '--ca', siteCa.certificateFile, ...certificate, ...command, ...more);
}

function chain(): Files {
  return { certificateFile: chainFile, keyFile: uploader.keyFile };
}

describe.skipIf(lacks('python3', 'openssl'))('Python uploads over HTTPS with a client certificate', () => {
  it.each(testedHosts())('on %s', async (host) => {
    const server = await start({ host });
    expect(await pythonUploads(server, chain())).toMatchObject({ code: 0, probe: 404 });
    // Again: the blob is found by a probe and not sent.
    expect(await pythonUploads(server, chain())).toMatchObject({ code: 0, probe: 200 });
    expect(server.lines.map(({ method, status, user }) => [method, status, user])).toEqual([
      ['GET', 404, undefined],
      ['POST', 201, 'uploader'],
      ['PUT', 201, 'uploader'],
      ['GET', 200, undefined],
      ['PUT', 201, 'uploader'],
    ]);
    const select = ['select', '--url', RAPID_CDN, '--certificate', signing.certificateFile];
    expect(await python(server.url, '--ca', siteCa.certificateFile, ...select)).toMatchObject({
      code: 0,
      entry: { software_url: RAPID_CDN },
    });
  });

  it('by PUT and in chunks', async () => {
    const server = await start();
    expect(await pythonUploads(server, chain(), '--method', 'PUT')).toMatchObject({ code: 0 });
    const other = await start();
    expect(await pythonUploads(other, chain(), '--chunked')).toMatchObject({ code: 0 });
  });

  it('with a name that is not ASCII', async () => {
    const server = await start();
    const client = await clientCa.issue('zoe', { subject: '/O=Büro/CN=Zoë 目录' });
    expect(await pythonUploads(server, client)).toMatchObject({ code: 0 });
    expect(server.lines.at(-1)).toMatchObject({ status: 201, user: 'Zoë 目录' });
  });

  it('but not without one', async () => {
    const server = await start();
    const refused = await pythonUploads(server);
    expect(refused).toMatchObject({ code: 1 });
    expect(refused['error']).toMatch(/POST \/bcache: 403 a client certificate is required/);
    expect(await everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
  });

  it('but not with a name whose role is not enough', async () => {
    const server = await start();
    const refused = await pythonUploads(server, await clientCa.issue('reader'));
    expect(refused['error']).toMatch(/403 reader may not do this; the role "upload" is required/);
    expect(server.lines).toContainEqual(expect.objectContaining({ status: 403, user: 'reader' }));
  });

  it.each<[string, () => Promise<Files>]>([
    [
      'from a foreign authority',
      async () => (await createAuthority(folder, 'foreign-ca')).issue('foreign', { subject: '/CN=uploader' }),
    ],
    ['that signed itself', () => makePairByOpenssl(folder, 'uploader-itself')],
    [
      'from an authority of the same name',
      async () => {
        const other = await mkdtemp(join(folder, 'other-'));
        return (await createAuthority(other, 'client-ca')).issue('uploader');
      },
    ],
    [
      'from an authority that was made anew since, by the same name',
      async () => {
        const old = await mkdtemp(join(folder, 'old-'));
        return (await createAuthority(old, 'client-ca')).issue('uploader', { hasKeyIds: false });
      },
    ],
    ['that has expired', () => clientCa.issue('expired', { isExpired: true })],
    ["whose intermediate authority's is not sent along", () => Promise.resolve(uploader)],
    ['that is for servers', () => clientCa.issue('a-server', { use: 'serverAuth' })],
    [
      'from a client, which is no authority',
      async () => (await clientCa.issue('client')).issue('made-by-client'),
    ],
    ["from the site's authority for servers", () => siteCa.issue('uploader-2', { subject: '/CN=uploader' })],
    ['with two names', () => clientCa.issue('two', { subject: '/CN=reader/CN=uploader' })],
    ['without a name', () => clientCa.issue('nameless', { subject: '/O=somebody' })],
  ])('but not with one %s', async (_what, make) => {
    const server = await start();
    const refused = await pythonUploads(server, await make());
    expect(refused).toMatchObject({ code: 1 });
    expect(refused['error']).toMatch(/POST \/bcache: 403 a client certificate is required/);
    // It may still read, as everybody may.
    expect(server.lines.map(({ status, user }) => [status, user])).toEqual([
      [404, undefined],
      [403, undefined],
    ]);
  });

  it('or with a password where no certificate is shown', async () => {
    const server = await start({
      access: {
        anonymous: undefined,
        withCertificate,
        withPassword: (name, password) =>
          Promise.resolve(password === 'p@ss:w' ? { name, role: 'upload' } : undefined),
      },
    });
    const { port } = new URL(server.url);
    const base = `https://us%20er:p%40ss%3Aw@127.0.0.1:${port}`;
    const args = ['upload', '--url', RAPID_CDN, '--file', archive, '--sign-key', signing.keyFile];
    expect(await python(base, '--ca', siteCa.certificateFile, ...args)).toMatchObject({ code: 0 });
    expect((await pythonUploads(server))['error']).toMatch(/401/);
    expect(await pythonUploads(server, chain())).toMatchObject({ code: 0 });
    expect(new Set(server.lines.map(({ user }) => user))).toEqual(new Set(['us er', undefined, 'uploader']));
  });

  it('or with a password where the certificate is not enough', async () => {
    const server = await start({
      access: {
        anonymous: 'read',
        withCertificate: (name) => (name === 'no name' ? undefined : withCertificate(name)),
        withPassword: (name, password) =>
          Promise.resolve(password === 'secret' ? { name, role: 'upload' } : undefined),
      },
    });
    const { port } = new URL(server.url);
    const args = ['upload', '--url', RAPID_CDN, '--file', archive, '--sign-key', signing.keyFile];
    for (const subject of ['/CN=reader', '/CN=no name']) {
      const { certificateFile, keyFile } = await clientCa.issue(subject.slice(4), { subject });
      const client = ['--ca', siteCa.certificateFile, '--cert-file', certificateFile, '--key-file', keyFile];
      const withPassword = (password: string) =>
        python(`https://builder:${password}@127.0.0.1:${port}`, ...client, ...args);
      expect(await withPassword('secret')).toMatchObject({ code: 0 });
      expect(server.lines.at(-1)).toMatchObject({ status: 201, user: 'builder' });
      expect((await withPassword('wrong'))['error']).toMatch(/401/);
    }
  });

  it('and its name is recorded, also where everybody may upload', async () => {
    const server = await start({ access: { anonymous: 'upload', withCertificate } });
    expect(await pythonUploads(server, chain())).toMatchObject({ code: 0 });
    expect(server.lines.map(({ method, user }) => [method, user])).toEqual([
      ['GET', undefined],
      ['POST', 'uploader'],
      ['PUT', 'uploader'],
    ]);
  });

  it('to the server as it is configured, as one of its upload-users', async () => {
    const serve = await ServeProcess.start({
      listen: 'https://127.0.0.1:0',
      config: [
        `[server]\ntls-certificate = ${serverPair.certificateFile}\ntls-key = ${serverPair.keyFile}`,
        `[access]\nclient-ca-file = ${clientCa.certificateFile}\nupload-users = uploader`,
        `[signature]\ncertificate-file = ${signing.certificateFile}\n`,
      ].join('\n'),
    });
    const [url = ''] = await serve.urls();
    expect(await pythonUploads({ url }, chain())).toMatchObject({ code: 0, probe: 404 });
    const other = await clientCa.issue('somebody');
    const refused = await pythonUploads({ url }, other, '--key', '0'.repeat(32));
    expect(refused['error']).toMatch(/PUT \/bdir\/0+: 403 somebody may not do this/);
    await expect.poll(() => serve.stderr).toMatch(/"method":"POST".*"status":201.*"user":"uploader"/);
  });

  it('only to a server whose certificate it can check', async () => {
    const server = await start();
    const command = ['upload', '--url', RAPID_CDN, '--file', archive];
    expect((await python(server.url, ...command))['error']).toMatch(/certificate verify failed/);
    const wrong = await python(server.url, '--ca', clientCa.certificateFile, ...command);
    expect(wrong['error']).toMatch(/certificate verify failed/);
    expect(server.lines).toEqual([]);
  });
});

/** One request over TLS, by hand; what came, and the session for the next time. */
async function askTls(
  { host, port }: HttpServer,
  options: ConnectionOptions,
): Promise<{ status: number; reused: boolean; session: Buffer }> {
  const socket = await new Promise<TLSSocket>((resolve, reject) => {
    const opened = connect({ host, port, ca: siteCa.certificate, ...options }, () => {
      resolve(opened);
    });
    opened.once('error', reject);
  });
  const reused = socket.isSessionReused();
  let session: Buffer = socket.getSession() ?? Buffer.alloc(0);
  // With TLS 1.3 it comes later.
  socket.on('session', (ticket: Buffer) => (session = ticket));
  socket.write(`PUT /bdir/${KEY} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]`);
  let text = '';
  for await (const data of socket) text += (data as Buffer).toString('latin1');
  return { status: Number(text.slice(9, 12)), reused, session };
}

describe.each(['TLSv1.2', 'TLSv1.3'] as const)('a TLS session that is taken up again, with %s', (version) => {
  const protocol = { minVersion: version, maxVersion: version };

  async function twice(server: HttpServer, client: ConnectionOptions): Promise<readonly number[]> {
    const first = await askTls(server, { ...protocol, ...client });
    const second = await askTls(server, { ...protocol, ...client, session: first.session });
    expect(second.reused).toBe(true);
    return [first.status, second.status];
  }

  it('is nobody where no certificate was shown', async () => {
    const server = await start();
    expect(await twice(server, {})).toEqual([403, 403]);
    expect(server.failures).toEqual([]);
  });

  it('is nobody where a foreign certificate was shown', async () => {
    const foreign = await (await createAuthority(folder, 'foreign-ca-2')).issue('foreign-2');
    const server = await start();
    const client = { cert: foreign.certificate, key: foreign.privateKey };
    expect(await twice(server, client)).toEqual([403, 403]);
    expect(server.failures).toEqual([]);
  });

  it('is still somebody where a good one was shown', async () => {
    const good = await clientCa.issue('good');
    const server = await start();
    // Let in, and told what is wrong with the entry.
    expect(await twice(server, { cert: good.certificate, key: good.privateKey })).toEqual([400, 400]);
  });

  it('counts no longer when the authorities have changed', async () => {
    const good = await clientCa.issue('good');
    const server = await start();
    const client = { ...protocol, cert: good.certificate, key: good.privateKey };
    const { status, session } = await askTls(server, client);
    expect(status).toBe(400);
    server.renew({ ...serverPair, clientCa: siteCa.certificate });
    expect((await askTls(server, { ...client, session })).status).toBe(403);
    server.renew({ ...serverPair, clientCa: clientCa.certificate });
    expect((await askTls(server, client)).status).toBe(400);
  });
});

describe.each(['TLSv1.2', 'TLSv1.3'] as const)(
  'a certificate that can not be verified, with %s',
  (version) => {
    it.each([
      ['EC', undefined],
      ['RSA', ['-newkey', 'rsa:2048']],
    ] as const)('counts as none: everybody may read as before (%s)', async (_kind, newKey) => {
      const [before, since] = await Promise.all(
        ['before-', 'since-'].map(async (name) =>
          createAuthority(await mkdtemp(join(folder, name)), 'same-name', newKey),
        ),
      );
      if (before === undefined || since === undefined) throw new Error('no authority was made');
      const client = await before.issue('uploader', { hasKeyIds: false });
      const server = await startHttpServer({
        tls: { ...serverPair, clientCa: since.certificate },
        parts: (usual) => ({ ...usual, access: { anonymous: 'read', withCertificate } }),
      });
      onTestFinished(async () => {
        await server.stop();
      });
      const content = incompressible(2_000_000);
      const digest = await server.addBlob(content);
      const files = [
        '--cacert',
        siteCa.certificateFile,
        '--cert',
        client.certificateFile,
        '--key',
        client.keyFile,
      ];
      const limits = version === 'TLSv1.2' ? ['--tls-max', '1.2'] : ['--tlsv1.3'];
      const args = [...PLAIN_CURL, '-sS', ...files, ...limits];
      const download = await run('curl', [
        ...args,
        '-w',
        '%{http_code} %{size_download}',
        '-o',
        '/dev/null',
        `${server.url}/bcache/${digest}`,
      ]);
      expect([download.stderr, download.stdout]).toEqual(['', `200 ${content.length}`]);
      const upload = await run('curl', [...args, '--data-binary', 'x', `${server.url}/bcache`]);
      expect(upload.stdout).toBe(
        'a client certificate is required; in slapos.cfg, set shacache-cert-file, shacache-key-file, shadir-cert-file and shadir-key-file. The certificate of the client does not count: CERT_SIGNATURE_FAILURE; its CA must be in client-ca-file in [access]\n',
      );
    });
  },
);

describe('where no client-ca-file is given', () => {
  it('a client certificate is not asked for and counts nothing', async () => {
    const server = await startHttpServer({
      tls: { ...serverPair, clientCa: undefined },
      parts: (usual) => ({ ...usual, access: { anonymous: 'read', withCertificate } }),
    });
    onTestFinished(async () => {
      await server.stop();
    });
    const good = await clientCa.issue('good');
    expect((await askTls(server, { cert: good.certificate, key: good.privateKey })).status).toBe(403);
    expect((await pythonUploads(server, chain()))['error']).toMatch(/403/);
  });
});
