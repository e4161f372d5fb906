import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname, networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { makePairByOpenssl } from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run, testedHosts } from './outside-programs.ts';
import { python } from './python-judge.ts';
import { ask, askRaw } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';
import { certificateShown, openTls, placeOf } from './tls-connection.ts';

const DIGEST = 'ab'.repeat(64);
const HOSTS = testedHosts();

function listenOn(...schemes: readonly string[]): string {
  return HOSTS.flatMap((host) =>
    schemes.map((scheme) => `${scheme}://${host.includes(':') ? `[${host}]` : host}:0`),
  ).join(' ');
}

let folder: string;
let siteCa: IssuedCertificate;
let pair: IssuedCertificate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-tls-'));
  siteCa = await createAuthority(folder, 'site-ca');
  pair = await siteCa.issue('server', { alternativeNames: 'DNS:localhost,IP:127.0.0.1,IP:::1' });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

function configOf(
  { certificateFile, keyFile }: { certificateFile: string; keyFile: string },
  more = '',
): string {
  return `[server]\ntls-certificate = ${certificateFile}\ntls-key = ${keyFile}\n${more}`;
}

describe.skipIf(lacks('openssl', 'python3', 'curl'))('tls = auto', () => {
  const config = '[server]\ntls = auto\ntls-names = cache.example.org *.site.example 192.0.2.7 2001:db8::7\n';

  /** What openssl says of the certificate as its own authority. */
  async function judge(certificate: string, ...args: readonly string[]): Promise<boolean> {
    const { stdout } = await run('openssl', [
      ...['verify', '-x509_strict', '-purpose', 'sslserver', ...args, '-CAfile', certificate, certificate],
    ]);
    return stdout.trim() === `${certificate}: OK`;
  }

  it('makes a certificate that holds all names and addresses of the machine, for openssl, Python and curl', async () => {
    const at = await temporaryFolder();
    const serve = await ServeProcess.start({ folder: at, listen: listenOn('https'), config });
    const urls = await serve.urls();
    const certificate = join(at, 'server.crt');
    expect(serve.stderr).toContain(`made a TLS certificate: ${certificate}`);

    const own = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map(({ address }) => address),
    );
    for (const address of ['127.0.0.1', '::1', ...own, '192.0.2.7', '2001:db8::7'])
      expect(await judge(certificate, '-verify_ip', address), address).toBe(true);
    for (const name of ['localhost', hostname(), 'cache.example.org', 'a.site.example'])
      expect(await judge(certificate, '-verify_hostname', name), name).toBe(true);
    expect(await judge(certificate, '-verify_ip', '192.0.2.8')).toBe(false);
    expect(await judge(certificate, '-verify_hostname', 'other.example.org')).toBe(false);

    expect(urls).toHaveLength(HOSTS.length);
    for (const url of urls) {
      expect(await python(url, '--ca', certificate, 'probe', '--sha512', DIGEST)).toMatchObject({
        status: 404,
      });
      expect((await python(url, 'probe', '--sha512', DIGEST))['error']).toMatch(/certificate verify failed/);
      const curl = [...PLAIN_CURL, '-sf', '--cacert', certificate];
      expect(await run('curl', [...curl, `${url}/health`])).toMatchObject({ code: 0 });
    }
  });

  it('keeps the key to itself, outside the store, and both files over a restart', async () => {
    const at = await temporaryFolder();
    const files = [join(at, 'server.key'), join(at, 'server.crt')] as const;
    const first = await ServeProcess.start({ folder: at, listen: listenOn('https'), config });
    await first.urls();
    expect((await stat(files[0])).mode & 0o777).toBe(0o600);
    const before = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    first.signal('SIGTERM');
    await first.exit;

    const second = await ServeProcess.start({ folder: at, listen: listenOn('https'), config });
    const [url = ''] = await second.urls();
    expect(second.stderr).not.toContain('made a TLS certificate');
    expect(await Promise.all(files.map((file) => readFile(file, 'utf8')))).toEqual(before);
    expect((await certificateShown(placeOf(url))).toString()).toBe(before[1]);
  });

  it('tells which addresses an earlier certificate lacks', async () => {
    const at = await temporaryFolder();
    const first = await ServeProcess.start({ folder: at, listen: listenOn('https'), config });
    await first.urls();
    first.signal('SIGTERM');
    await first.exit;
    const second = await ServeProcess.start({
      folder: at,
      listen: listenOn('https'),
      config: config.replace('2001:db8::7', '2001:db8::8'),
    });
    await second.urls();
    expect(second.stderr).toContain('before this machine had 2001:db8::8; ');
  });
});

describe.skipIf(lacks('openssl', 'python3'))('a certificate that is given', () => {
  it('is shown with its chain, over IPv4 and IPv6', async () => {
    const intermediate = await siteCa.issue('intermediate', { isAuthority: true });
    const leaf = await intermediate.issue('leaf', { alternativeNames: 'IP:127.0.0.1,IP:::1' });
    const certificateFile = join(folder, 'chain.crt');
    await writeFile(certificateFile, leaf.certificate + intermediate.certificate);
    const serve = await ServeProcess.start({
      listen: listenOn('https'),
      config: configOf({ certificateFile, keyFile: leaf.keyFile }),
    });
    for (const url of await serve.urls())
      expect(await python(url, '--ca', siteCa.certificateFile, 'probe', '--sha512', DIGEST)).toMatchObject({
        status: 404,
      });
  });

  it('may be RSA', async () => {
    const rsa = await makePairByOpenssl(folder, 'rsa');
    const serve = await ServeProcess.start({ listen: 'https://127.0.0.1:0', config: configOf(rsa) });
    const [url = ''] = await serve.urls();
    expect((await certificateShown(placeOf(url))).toString()).toBe(rsa.certificate);
  });

  it('is used beside plain HTTP', async () => {
    const serve = await ServeProcess.start({ listen: listenOn('http', 'https'), config: configOf(pair) });
    const urls = await serve.urls();
    expect(urls.map((url) => new URL(url).protocol)).toEqual(HOSTS.flatMap(() => ['http:', 'https:']));
    for (const url of urls)
      expect(await python(url, '--ca', siteCa.certificateFile, 'probe', '--sha512', DIGEST)).toMatchObject({
        status: 404,
      });
  });

  it('takes no plain HTTP, and plain HTTP no TLS; both go on', async () => {
    const serve = await ServeProcess.start({
      listen: 'http://127.0.0.1:0 https://127.0.0.1:0',
      config: configOf(pair),
    });
    const [http = '', https = ''] = (await serve.urls()).map(placeOf);
    if (http === '' || https === '') throw new Error('two addresses are listened on');
    await expect(askRaw(https, 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n')).rejects.toThrow(/ended/);
    await expect(openTls(http)).rejects.toThrow();
    expect((await ask(http, '/health')).status).toBe(200);
    (await openTls(https)).destroy();
  });

  it('is used with TLS 1.2 and 1.3 only', async () => {
    const serve = await ServeProcess.start({ listen: 'https://127.0.0.1:0', config: configOf(pair) });
    const [url = ''] = await serve.urls();
    // openssl itself refuses TLS 1.1 unless it is told that security doesn't matter.
    const speak = async (at: number, version: string): Promise<string> => {
      const args = [
        's_client',
        '-brief',
        '-connect',
        `127.0.0.1:${at}`,
        version,
        '-cipher',
        'ALL@SECLEVEL=0',
      ];
      const { stderr } = await run('sh', ['-c', 'exec openssl "$@" < /dev/null', 'sh', ...args]);
      return /^Protocol version: (\S+)$/m.exec(stderr)?.[1] ?? '';
    };
    const judge = createServer({
      cert: pair.certificate,
      key: pair.privateKey,
      minVersion: 'TLSv1',
      ciphers: 'ALL@SECLEVEL=0',
    });
    await new Promise<void>((resolve) => judge.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void judge.close());
    const { port } = placeOf(url);
    const versions = ['-tls1', '-tls1_1', '-tls1_2', '-tls1_3'];
    const spoken = async (at: number): Promise<readonly string[]> =>
      Promise.all(versions.map((version) => speak(at, version)));
    // A server that doesn't care shows that the client can.
    expect(await spoken((judge.address() as AddressInfo).port)).toEqual([
      'TLSv1',
      'TLSv1.1',
      'TLSv1.2',
      'TLSv1.3',
    ]);
    expect(await spoken(port)).toEqual(['', '', 'TLSv1.2', 'TLSv1.3']);
  });

  it.each<[string, () => Promise<string>, RegExp]>([
    [
      'the key of another certificate',
      async () => configOf({ ...pair, keyFile: (await siteCa.issue('another')).keyFile }),
      /another\.key is not the unencrypted private key of \S+server\.crt/,
    ],
    [
      'a key of another kind, RSA for EC',
      async () => configOf({ ...pair, keyFile: (await makePairByOpenssl(folder, 'rsa-key')).keyFile }),
      /rsa-key\.key is not the unencrypted private key of \S+server\.crt/,
    ],
    [
      'an encrypted key',
      async () => {
        const keyFile = join(folder, 'encrypted.key');
        const encrypt = ['pkey', '-in', pair.keyFile, '-aes256', '-passout', 'pass:secret', '-out', keyFile];
        expect(await run('openssl', encrypt)).toMatchObject({ code: 0 });
        return configOf({ ...pair, keyFile });
      },
      /encrypted\.key is not the unencrypted private key of \S+server\.crt/,
    ],
    [
      'a certificate for the key, and a key for the certificate',
      () => Promise.resolve(configOf({ certificateFile: pair.keyFile, keyFile: pair.certificateFile })),
      /server\.key: not a PEM certificate/,
    ],
    [
      'a file that is not there',
      () => Promise.resolve(configOf({ ...pair, certificateFile: join(folder, 'none.crt') })),
      /config\.ini: \[server\] tls-certificate: there is no file .*none\.crt; correct the path/,
    ],
    [
      'a client-ca-file that holds no certificate',
      () => Promise.resolve(configOf(pair, `[access]\nclient-ca-file = ${pair.keyFile}\n`)),
      /server\.key: not a PEM certificate/,
    ],
  ])('ends with 2 and says why for %s', async (_what, config, message) => {
    const serve = await ServeProcess.start({ listen: 'https://127.0.0.1:0', config: await config() });
    expect(await serve.exit).toEqual({ code: 2, signal: null });
    expect(serve.stderr).toMatch(message);
    expect(serve.stderr.trim().split('\n')).toHaveLength(1);
    expect(serve.stdout).toBe('');
  });
});
