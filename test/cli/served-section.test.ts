import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess, type ServeOptions } from '../http/serve-process.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { runCache } from './command.ts';

const signer = await createTestSigner('the importer');

/** A server that has the signer's certificate. */
const serve = (options: ServeOptions = {}): Promise<ServeProcess> =>
  ServeProcess.start({
    ...options,
    prepare: (root) => writeFile(join(dirname(root), 'sign.crt'), signer.certificate),
  });

/** What the client of a person or of a script gets. */
function curl(...args: readonly string[]): string {
  return execFileSync('curl', ['-sS', '--noproxy', '*', ...args], { encoding: 'utf8' });
}

/** The section as the Python of a node reads it. */
function pythonReads(text: string): Readonly<Record<string, string>> {
  const script =
    'import configparser, json, sys; p = configparser.ConfigParser(); p.read_string(sys.stdin.read()); print(json.dumps(dict(p.items("networkcache"))))';
  return JSON.parse(execFileSync('python3', ['-c', script], { encoding: 'utf8', input: text })) as Record<
    string,
    string
  >;
}

describe('GET /slapos.cfg', () => {
  it('is the section for the host that was asked', async () => {
    const port = await (await serve()).port();
    const resolved = ['--resolve', `cache.example:${port}:127.0.0.1`];
    const section = pythonReads(curl(...resolved, `http://cache.example:${port}/slapos.cfg`));
    expect(section).toMatchObject({
      'download-binary-cache-url': `http://cache.example:${port}/bcache`,
      'download-binary-dir-url': `http://cache.example:${port}/bdir`,
      'download-cache-url': `http://cache.example:${port}/bcache`,
      'download-dir-url': `http://cache.example:${port}/bdir`,
    });
    expect(section['signature-certificate-list']?.trim()).toBe(signer.certificate.trim());
  });

  it('names public-url, where there is one', async () => {
    const server = await serve({ config: '[server]\npublic-url = http://cache.site:80/c\n' });
    const section = pythonReads(curl(`http://127.0.0.1:${await server.port()}/slapos.cfg`));
    expect(section['download-binary-dir-url']).toBe('http://cache.site:80/c/bdir');
  });

  it('names the plain address to who asks over TLS, if there is one', async () => {
    const server = await serve({
      listen: 'http://127.0.0.1:0 https://127.0.0.1:0',
      config: '[server]\ntls = auto\n',
    });
    const [plain = '', tls = ''] = await server.urls();
    expect(tls).toMatch(/^https:/);
    expect(pythonReads(curl('--insecure', `${tls}/slapos.cfg`))['download-cache-url']).toBe(
      `${plain}/bcache`,
    );
  });

  it('over TLS alone says in comments what nodes need', async () => {
    const server = await serve({ listen: 'https://127.0.0.1:0', config: '[server]\ntls = auto\n' });
    const text = curl('--insecure', `https://127.0.0.1:${await server.port()}/slapos.cfg`);
    expect(text).toMatch(/^# nodes download over https:\/\/ only if [^]*\n# [^]*\[networkcache\]\n/);
    expect(pythonReads(text)['download-cache-url']).toBe(`https://127.0.0.1:${await server.port()}/bcache`);
  });

  it.each([
    ['no host', ['-0', '-H', 'Host:']],
    ['what is no host', ['-H', 'Host: a"b']],
    ['a password', ['-H', 'Host: u:p@h']],
  ])('is 404 for %s', async (_what, options) => {
    const port = await (await serve()).port();
    const status = curl(
      ...options,
      '-o',
      '/dev/null',
      '-w',
      '%{http_code}',
      `http://127.0.0.1:${port}/slapos.cfg`,
    );
    expect(['400', '404']).toContain(status);
  });

  it('is 404 where nodes could trust nobody, and 405 for POST', async () => {
    const port = await (await ServeProcess.start()).port();
    const url = `http://127.0.0.1:${port}/slapos.cfg`;
    expect(curl('-w', '%{http_code}', url)).toBe(
      'this cache has no certificate that nodes could trust; see [signature] in its configuration\n404',
    );
    expect(curl('-o', '/dev/null', '-w', '%{http_code}', '-d', 'x', url)).toBe('405');
  });

  it('is for those who may read', async () => {
    const hash = execFileSync('openssl', ['passwd', '-apr1', 'secret'], { encoding: 'utf8' });
    const htpasswd = join(await temporaryFolder(), 'htpasswd');
    await writeFile(htpasswd, `node:${hash}`);
    const server = await serve({
      config: `[access]\nanonymous = none\nhtpasswd-file = ${htpasswd}\n`,
    });
    const url = `http://127.0.0.1:${await server.port()}/slapos.cfg`;
    expect(curl('-o', '/dev/null', '-w', '%{http_code}', url)).toBe('401');
    expect(curl('-u', 'node:secret', url)).toMatch(/^\[networkcache\]/);
  });
});

describe('slapos-cfg --server', () => {
  it('shows the section and the fingerprints to compare', async () => {
    const port = await (await serve()).port();
    const folder = await temporaryFolder();
    const { code, stdout, stderr } = await runCache(
      folder,
      'slapos-cfg',
      '--server',
      `http://127.0.0.1:${port}`,
    );
    expect(pythonReads(stdout)['download-binary-cache-url']).toBe(`http://127.0.0.1:${port}/bcache`);
    const { fingerprint256 } = new X509Certificate(signer.certificate);
    expect(stderr.replaceAll(':', '')).toContain(fingerprint256.replaceAll(':', ''));
    expect(stderr).toMatch(
      /^cache: its nodes trust "?the importer"? \(SHA-256 .*\)\ncache: compare each fingerprint .*\n$/,
    );
    expect(code).toBe(0);
    await writeFile(join(folder, 'section.cfg'), stdout);
    await writeFile(join(folder, 'slapos.cfg'), '[slapos]\nkey = value\n');
    const edited = await runCache(folder, 'slapos-cfg', '--from', 'section.cfg', '--into', 'slapos.cfg');
    expect(edited.code).toBe(0);
    expect(pythonReads(await readFile(join(folder, 'slapos.cfg'), 'utf8'))['download-dir-url']).toBe(
      `http://127.0.0.1:${port}/bdir`,
    );
  });

  it('says which cache has no such page', async () => {
    const port = await (await ServeProcess.start()).port();
    const { code, stderr } = await runCache(
      await temporaryFolder(),
      'slapos-cfg',
      '--server',
      `http://127.0.0.1:${port}/sub`,
    );
    expect(stderr).toMatch(
      new RegExp(`^cache: http://127\\.0\\.0\\.1:${port}/sub/slapos\\.cfg: 404 .*; correct the URL\\n$`),
    );
    expect(code).toBe(1);
  });

  it.each([
    [['--into', 'x'], /^cache: --server and --into exclude each other: save the section, compare /],
    [['--from', 'x'], /^cache: --server and --from exclude each other/],
    [['--url', 'http://h'], /^cache: --server and --url exclude each other/],
  ])('refuses %j', async (options, message) => {
    const { code, stderr } = await runCache(
      await temporaryFolder(),
      'slapos-cfg',
      '--server',
      'http://h',
      ...options,
    );
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
