import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { makePairByOpenssl, opensslVerifies, signerOf } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import { lacks, PLAIN_CURL, run, testedHosts } from './outside-programs.ts';

const CURL = [...PLAIN_CURL, '--silent', '--show-error'];

describe.skipIf(lacks('curl', 'openssl'))('curl and openssl', () => {
  describe.each(testedHosts())('over %s', (host) => {
    let server: HttpServer;
    let archive: Buffer;
    let digest: Digest;
    let certificate: string;

    beforeAll(async () => {
      server = await startHttpServer({ host });
      const folder = join(server.root, '..');
      const release = await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN, { payload: 5_000_000 });
      await packRelease(release, join(folder, 'rapid-cdn.tar.gz'));
      archive = await readFile(join(folder, 'rapid-cdn.tar.gz'));
      digest = await server.addBlob(archive);
      const pair = await makePairByOpenssl(folder, 'sign');
      certificate = pair.certificateFile;
      const json = JSON.stringify(membersOf(RAPID_CDN, { sha512: digest, note: 'Zürich' }));
      await server.directory.add(keyOfSoftwareUrl(RAPID_CDN), signerOf(pair).sign(json));
    });

    afterAll(() => server.stop());

    it('find an archive as the guide has it, word for word', async () => {
      const folder = await temporaryFolder();
      const base = server.url;
      // protocol.md, "By hand": only HOST:5050 is another.
      const { code, stdout, stderr } = await run('bash', [
        '-c',
        `cd "$1"; export CURL_HOME=/nonexistent no_proxy='*'
SR="${RAPID_CDN}"
curl "${base}/bdir/$(printf $SR | md5sum | cut -d ' ' -f 1)"`,
        'bash',
        folder,
      ]);
      expect(code, stderr).toBe(0);
      const [[json, signature]] = JSON.parse(stdout) as [[string, string]];
      const { sha512 } = JSON.parse(json) as { sha512: string };
      expect(sha512).toBe(digest);
      expect(await opensslVerifies(folder, certificate, [json, signature])).toBe(true);
      expect(await opensslVerifies(folder, certificate, [`${json} `, signature])).toBe(false);

      const download = `cd "$1"; export CURL_HOME=/nonexistent no_proxy='*'
curl -o rapid-cdn.tar.gz "${base}/bcache/${sha512}"
sha512sum rapid-cdn.tar.gz | cut -d ' ' -f 1
tar -xzf rapid-cdn.tar.gz && cat */buildout.cfg`;
      const downloaded = await run('bash', ['-c', download, 'bash', folder]);
      expect(downloaded.stdout).toBe(`${sha512}\n[buildout]\nextends = ${RAPID_CDN}\n`);
      expect((await readFile(join(folder, 'rapid-cdn.tar.gz'))).equals(archive)).toBe(true);
    });

    it.each([100, 4095, 65_536, 1_000_000])(
      'go on with -C - where a download was cut after about %i bytes',
      async (bytes) => {
        const file = join(await temporaryFolder(), 'archive');
        const proxy = await startCuttingProxy(server, { bytes: bytes + 600, times: 1 });
        const cut = await run('curl', [...CURL, '-o', file, `${proxy.url}/bcache/${digest}`]);
        expect(cut.code).toBe(18); // partial file
        expect(proxy.cuts()).toBe(1);
        const part = await readFile(file);
        expect(part.length).toBeGreaterThan(0);
        expect(part.length).toBeLessThan(archive.length);
        const resumed = await run('curl', [...CURL, '-C', '-', '-o', file, `${server.url}/bcache/${digest}`]);
        expect(resumed).toMatchObject({ code: 0, stderr: '' });
        expect((await readFile(file)).equals(archive)).toBe(true);
      },
    );

    it('leave a file alone that -C - finds whole', async () => {
      const file = join(await temporaryFolder(), 'archive');
      await writeFile(file, archive);
      await run('curl', [...CURL, '-C', '-', '-o', file, `${server.url}/bcache/${digest}`]);
      expect((await readFile(file)).equals(archive)).toBe(true);
    });

    it.each([['--http1.0'], ['--http1.1'], ['--compressed'], ['-H', 'Expect: 100-continue']])(
      'get the same bytes with %s %s',
      async (...options) => {
        const file = join(await temporaryFolder(), 'archive');
        const target = `${server.url}/bcache/${digest}`;
        const ended = await run('curl', [...CURL, ...options, '--fail', '-o', file, target]);
        expect(ended).toMatchObject({ code: 0, stderr: '' });
        expect((await readFile(file)).equals(archive)).toBe(true);
      },
    );

    it('see the same head with -I', async () => {
      const { stdout } = await run('curl', [...CURL, '-I', `${server.url}/bcache/${digest}`]);
      expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(stdout).toContain('\r\nAccept-Ranges: bytes\r\n');
      expect(stdout).toContain(`\r\nContent-Length: ${archive.length}\r\n`);
    });

    it('use one connection for several files', async () => {
      const target = `${server.url}/bcache/${digest}`;
      const format = '%{num_connects} %{http_code}\\n';
      const targets = [target, `${server.url}/bcache/none`, target].flatMap((url) => [
        '-o',
        '/dev/null',
        url,
      ]);
      const { stdout } = await run('curl', [...CURL, '-w', format, ...targets]);
      expect(stdout).toBe('1 200\n0 400\n0 200\n');
    });

    it('do not get out of the store with --path-as-is', async () => {
      await writeFile(join(server.root, '..', 'secret'), 'TOP-SECRET');
      for (const path of [
        '/bcache/../../secret',
        '/bdir/../../secret',
        '/../../../../../../../../etc/passwd',
        '/bcache/..%2f..%2fsecret',
        '/bdir/%2e%2e/%2e%2e/secret',
        '/bcache/....//....//secret',
      ]) {
        const args = [...CURL, '--path-as-is', '-w', ' %{http_code}', `${server.url}${path}`];
        const { stdout } = await run('curl', args);
        expect(stdout, path).toMatch(/ 40[04]$/);
        expect(stdout).not.toMatch(/TOP-SECRET|root:/);
      }
    });

    it('may give a host name in any spelling', async () => {
      const { port } = server;
      const spellings =
        host === '::1' ? ['[0:0:0:0:0:0:0:1]', '[::0001]'] : ['127.0.0.1', 'localhost', 'LOCALHOST'];
      for (const spelling of spellings) {
        const connectTo = ['--connect-to', `::${host === '::1' ? '[::1]' : host}:${port}`];
        const args = [...CURL, ...connectTo, '-w', '%{http_code}', '-o', '/dev/null'];
        const { stdout } = await run('curl', [...args, `http://${spelling}:${port}/bcache/${digest}`]);
        expect(stdout, spelling).toBe('200');
      }
    });
  });
});
