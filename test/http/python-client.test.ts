import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { makePairByOpenssl, signerOf } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { startCuttingProxy } from './cutting-proxy.ts';
import { lacks, say, testedHosts } from './outside-programs.ts';
import { python } from './python-judge.ts';
import { mostHeld } from './socket-buffers.ts';
import { StorageObserver } from './storage-observer.ts';

const MIB = 1024 * 1024;

describe.skipIf(lacks('python3', 'openssl'))('a client with nothing but Python', () => {
  describe.each(testedHosts())('over %s', (host) => {
    const observer = new StorageObserver();
    let server: HttpServer;
    let digest: Digest;
    let size: number;
    let certificate: string;

    beforeAll(async () => {
      server = await startHttpServer({ host, wrapStorage: observer.wrap });
      const folder = join(server.root, '..');
      const release = await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN, { payload: 5_000_000 });
      await packRelease(release, join(folder, 'archive'), { packer: 'python' });
      const archive = await readFile(join(folder, 'archive'));
      size = archive.length;
      digest = await server.addBlob(archive);
      const pair = await makePairByOpenssl(folder, 'sign');
      const foreign = signerOf(await makePairByOpenssl(folder, 'foreign'));
      certificate = pair.certificateFile;
      const signer = signerOf(pair);
      const textOf = (more: Readonly<Record<string, unknown>>): string =>
        JSON.stringify(membersOf(RAPID_CDN, { sha512: digest, ...more }));
      const key = keyOfSoftwareUrl(RAPID_CDN);
      for (const entry of [
        signer.sign(textOf({ note: 'older' })),
        signer.sign(textOf({ note: 'right' })),
        // What comes newer must be passed over, each for another reason.
        signer.sign(textOf({ os: ['ubuntu', '24.04', 'noble'] })),
        signer.sign(textOf({ multiarch: 'aarch64-linux-gnu' })),
        foreign.sign(textOf({ note: 'foreign' })),
        unsignedEntry(membersOf(RAPID_CDN, { note: 'unsigned' })),
      ]) {
        await server.directory.add(key, entry);
      }
    });

    afterAll(() => server.stop());

    it('finds the entries of a key, and none where there is none', async () => {
      const found = await python(server.url, 'lookup', '--url', RAPID_CDN);
      expect(found).toMatchObject({ code: 0, found: true });
      expect(found['entries']).toHaveLength(6);
      const missing = await python(server.url, 'lookup', '--url', `${RAPID_CDN}/`);
      expect(missing).toEqual({ code: 0, found: false, entries: [] });
    });

    it('finds keys that it sends raw', async () => {
      const key = parseKey('pypi:slapos.core=1.24');
      const json = JSON.stringify({ sha512: digest });
      await server.directory.add(
        key,
        signerOf(await makePairByOpenssl(join(server.root, '..'), 'x')).sign(json),
      );
      expect(await python(server.url, 'lookup', '--key', key)).toMatchObject({ found: true });
    });

    it('may be given the address in another spelling', async () => {
      const name = host === '::1' ? '[0:0:0:0:0:0:0:1]' : 'LocalHost';
      const found = await python(`http://${name}:${server.port}`, 'lookup', '--url', RAPID_CDN);
      expect(found).toMatchObject({ code: 0, found: true });
    });

    it('takes the newest entry that is verified and compatible', async () => {
      const args = ['select', '--url', RAPID_CDN, '--certificate', certificate];
      expect(await python(server.url, ...args)).toMatchObject({ entry: { note: 'right', sha512: digest } });
      const noble = ['--os', 'ubuntu,24.04,noble'];
      expect(await python(server.url, ...args, ...noble)).toMatchObject({
        entry: { os: ['ubuntu', '24.04', 'noble'] },
      });
      expect(await python(server.url, ...args, '--os', 'debian,12,bookworm')).toMatchObject({ entry: null });
    });

    it('takes nothing without a certificate', async () => {
      expect(await python(server.url, 'select', '--url', RAPID_CDN)).toMatchObject({ entry: null });
    });

    it('installs a release', async () => {
      const root = await temporaryFolder();
      const args = ['install', '--url', RAPID_CDN, '--certificate', certificate, '--root', root];
      const key = keyOfSoftwareUrl(RAPID_CDN);
      expect(await python(server.url, ...args)).toEqual({ code: 0, size, statuses: [200], unpacked: [key] });
      expect(await readFile(join(root, key, 'buildout.cfg'), 'utf8')).toContain(RAPID_CDN);
    });

    it('resumes a download that is cut again and again', async () => {
      const output = join(await temporaryFolder(), 'archive');
      const proxy = await startCuttingProxy(server, { bytes: 1_000_003, times: 3 });
      const result = await python(proxy.url, 'download', '--sha512', digest, '--output', output);
      expect(result).toEqual({ code: 0, size, statuses: [200, 206, 206, 206] });
      expect(proxy.cuts()).toBe(3);
    });

    it('learns whether a blob is there, and closes without reading it', async () => {
      const huge = await server.addSparseBlob(1024 * MIB);
      observer.bytesRead = 0;
      expect(await python(server.url, 'probe', '--sha512', huge)).toEqual({
        code: 0,
        found: true,
        status: 200,
      });
      await expect.poll(() => observer.openObjects).toBe(0);
      say(`Python's probe of a 1 GiB blob over ${host}: ${(observer.bytesRead / MIB).toFixed(2)} MiB read`);
      expect(observer.bytesRead).toBeLessThan(mostHeld());
      const missing = await python(server.url, 'probe', '--sha512', 'ab'.repeat(64));
      expect(missing).toEqual({ code: 0, found: false, status: 404 });
    });
  });
});
