import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import {
  createAuthority,
  type CertificateOptions,
  type IssuedCertificate,
} from '../fixtures/certificate-authority.ts';
import { startProxy } from '../fixtures/outside-proxy.ts';
import { startScriptedServer, type ScriptedServer } from '../fixtures/scripted-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';
import { resultOf, startCache, type CommandResult } from './command.ts';

const KEY = '0123456789abcdef0123456789abcdef';
const ENTRIES = JSON.stringify([
  [
    JSON.stringify({ sha512: digestOf(''), os: ['ubuntu', '22.04', 'jammy'], multiarch: 'x86_64-linux-gnu' }),
    '',
  ],
]);

let folder: string;

/** What every command that asks servers is told of the way to them. */
function cache(variables: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<CommandResult> {
  return resultOf(startCache(folder, args, { variables }));
}

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe.skipIf(lacks('openssl'))('certificates of authorities', () => {
  let siteCa: IssuedCertificate;
  let server: ScriptedServer;

  beforeEach(async () => {
    siteCa = await createAuthority(folder, 'site-ca');
    const pair = await siteCa.issue('server', { alternativeNames: 'IP:127.0.0.1' });
    server = await startScriptedServer((_request, response) => response.end(ENTRIES), {
      cert: pair.certificate,
      key: pair.privateKey,
    });
  });

  it('of NODE_EXTRA_CA_CERTS count beside --ca, and beside that of a site with tls = auto', async () => {
    const other = await createAuthority(folder, 'other-ca');
    await copyFile(other.certificateFile, join(folder, 'server.crt'));
    await writeFile(join(folder, 'config.ini'), '[store]\npath = store\n[server]\ntls = auto\n');
    const lookup = ['lookup', KEY, '--server', server.url, '--os', 'ubuntu-22.04'];
    const extra = { NODE_EXTRA_CA_CERTS: siteCa.certificateFile };
    expect((await cache({}, ...lookup)).code).toBe(3);
    expect(await cache(extra, ...lookup)).toMatchObject({ code: 0 });
    expect(await cache(extra, ...lookup, '--ca', other.certificateFile)).toMatchObject({ code: 0 });
    expect(await cache({}, ...lookup, '--ca', siteCa.certificateFile)).toMatchObject({ code: 0 });
  });

  it.each(['lookup', 'check', 'fetch'])(
    'of --ca are used by %s, which says nothing else',
    async (command) => {
      const { stderr } = await cache(
        {},
        ...[command, KEY, '--server', server.url, '--os', 'ubuntu-22.04', '--ca', siteCa.certificateFile],
      );
      expect(server.requests.length).toBeGreaterThan(0);
      expect(stderr).not.toContain('--ca is not used');
    },
  );

  it('of NODE_EXTRA_CA_CERTS that are not there change nothing', async () => {
    const { code, stderr } = await cache(
      { NODE_EXTRA_CA_CERTS: join(folder, 'none.crt') },
      ...['lookup', KEY, '--server', server.url, '--os', 'ubuntu-22.04', '--ca', siteCa.certificateFile],
    );
    expect(stderr).toContain('none.crt');
    expect(code).toBe(0);
  });
});

describe.skipIf(lacks('python3'))('a proxy of the environment', () => {
  it('is asked by lookup, check, fetch and sync', async () => {
    const server = await startScriptedServer((_request, response) => response.end(ENTRIES));
    const proxy = await startProxy(server.url);
    const url = 'http://cache.invalid';
    await writeFile(
      join(folder, 'config.ini'),
      `[store]\npath = store\n[upstream]\ndownload-binary-cache-url = ${url}/bcache\ndownload-binary-dir-url = ${url}/bdir\n`,
    );
    const variables = { http_proxy: proxy.place, no_proxy: '' };
    await cache({}, 'init', '-c', 'config.ini');
    let asked = 0;
    for (const args of [
      ['lookup', KEY, '--server', url],
      ['check', 'https://example.com/software.cfg', '--server', url],
      ['fetch', KEY, '--dry-run'],
      ['sync', url, 'elsewhere'],
    ]) {
      const { stderr } = await cache(
        variables,
        ...args,
        ...(args[0] === 'sync' ? [] : ['--os', 'ubuntu-22.04']),
      );
      expect(stderr).not.toContain('ENOTFOUND');
      await expect.poll(() => proxy.requests.length).toBeGreaterThan(asked);
      asked = proxy.requests.length;
    }
  });
});

describe.skipIf(lacks('openssl'))('the S3 service of a bucket', () => {
  const list = async (endpoint: string, variables: NodeJS.ProcessEnv = {}): Promise<string> => {
    await writeFile(
      join(folder, 'config.ini'),
      `[store]\nurl = s3://bucket/site\nendpoint = ${endpoint}\naccess-key-id = id\nsecret-access-key = secret\n`,
    );
    const { code, stderr } = await cache(variables, 'list');
    expect(code, stderr).toBe(3);
    return stderr;
  };

  it('is trusted by the authorities that count for other servers, and a wrong certificate is explained', async () => {
    const siteCa = await createAuthority(folder, 'site-ca');
    const start = async (name: string, options: CertificateOptions): Promise<string> => {
      const { certificate: cert, privateKey: key } = await siteCa.issue(name, options);
      const xml = '<?xml version="1.0"?><Error><Code>NoSuchBucket</Code></Error>';
      const { url } = await startScriptedServer(
        (_request, response) => response.writeHead(404, { 'Content-Type': 'application/xml' }).end(xml),
        { cert, key },
      );
      return url;
    };
    const good = await start('good', { alternativeNames: 'IP:127.0.0.1' });
    expect(await list(good)).toMatch(/name its CA in NODE_EXTRA_CA_CERTS or SSL_CERT_FILE/);
    for (const variable of ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE'])
      expect(await list(good, { [variable]: siteCa.certificateFile })).toMatch(
        /there is no bucket bucket at/,
      );
    const trusting = { NODE_EXTRA_CA_CERTS: siteCa.certificateFile };
    const expired = await start('expired', { alternativeNames: 'IP:127.0.0.1', isExpired: true });
    expect(await list(expired, trusting)).toMatch(
      /the certificate of https:\S+, or of a CA above it, is out of date \(CERT_HAS_EXPIRED\); this machine's clock says 20\S+ \S+ UTC: set the clock that is wrong, or renew the certificate/,
    );
    const other = await start('other', { alternativeNames: 'DNS:other.example' });
    expect(await list(other, trusting)).toMatch(
      /the certificate of https:\S+ is for another name; correct \[store\] endpoint/,
    );
  });

  it('is not asked through a proxy, which is said if it cannot be reached', async () => {
    const unreachable = 'http://127.0.0.1:9';
    expect(await list(unreachable)).not.toContain('proxy');
    expect(await list(unreachable, { HTTP_PROXY: 'http://127.0.0.1:9' })).toMatch(
      /can't reach http:\/\/127\.0\.0\.1:9 .*; HTTP_PROXY is not used for a bucket/,
    );
    expect(await list(unreachable, { https_proxy: 'http://127.0.0.1:9' })).not.toContain('proxy');
  });
});
