import { once } from 'node:events';
import { mkdir, readdir, rm, writeFile, stat } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { resultOf, runCache, startCache } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe('serve', () => {
  it('imports a folder, tells its addresses and what to paste, answers, and ends with 0 when told to', async () => {
    await mkdir(join(folder, 'medium'));
    const release = await makeSoftwareRelease(join(folder, 'root'), KVM);
    await packRelease(release, join(folder, 'medium', 'kvm-ubuntu-22.04.tar.gz'));
    const server = startCache(folder, ['serve', '--import', 'medium', '--listen', '127.0.0.1:0']);
    const result = resultOf(server);
    let shown = '';
    const address = await new Promise<string>((resolve, reject) => {
      server.stdout?.on('data', (text: string) => {
        shown += text;
        const [, url] = /^ {2}(http:\/\/127\.0\.0\.1:\d+)$/m.exec(shown) ?? [];
        if (url !== undefined && shown.includes('-----END CERTIFICATE-----')) resolve(url);
      });
      void result.then(({ stderr }) => {
        reject(new Error(`it ended: ${stderr}`));
      });
    });
    expect(shown).toMatch(/imported/);
    expect(shown).toContain(`[networkcache]\ndownload-binary-cache-url = ${address}/bcache\n`);
    const response = await fetch(`${address}/bdir/${keyOfSoftwareUrl(KVM)}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toHaveLength(1);
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect((await result).stderr).not.toMatch(/^\s+at |is empty/m);
  });

  it('without a configuration tells that it made an empty store', async () => {
    await writeFile(join(folder, 'bad-ubuntu-22.04.tar.gz'), 'cut off');
    for (const options of [[], ['--import'], ['--import', 'bad-ubuntu-22.04.tar.gz']]) {
      await rm(join(folder, 'cache-store'), { recursive: true, force: true });
      const server = startCache(folder, ['serve', '--listen', '127.0.0.1:0', ...options]);
      const result = resultOf(server);
      await new Promise<void>((resolve) => {
        server.stderr?.on('data', (text: string) => {
          if (text.includes('cache import FOLDER')) resolve();
        });
        void result.then(() => {
          resolve();
        });
      });
      server.kill('SIGTERM');
      expect((await result).stderr).toMatch(
        /^note: no config\.ini in .*; made the empty store .*cache-store: [^]*cache serve -c FILE[^]*cache import FOLDER$/m,
      );
    }
  });

  it('with a configuration tells that its store has no entry, as a refused import leaves it', async () => {
    await mkdir(join(folder, 'store', 'bcache'), { recursive: true });
    await writeFile(join(folder, 'store', 'store.json'), '{"format":1}');
    await writeFile(join(folder, 'config.ini'), `[store]\npath = ${join(folder, 'store')}\n`);
    const server = startCache(folder, ['serve', '--listen', '127.0.0.1:0']);
    const result = resultOf(server);
    await new Promise<void>((resolve) => {
      server.stderr?.on('data', (text: string) => {
        if (text.includes('note: ')) resolve();
      });
      void result.then(() => {
        resolve();
      });
    });
    server.kill('SIGTERM');
    expect((await result).stderr).toMatch(
      /^note: the store .*store has no entry: nodes get 404 and compile\. To fill it: cache import -c .*config\.ini FOLDER$/m,
    );
  });

  it('interrupted in its import says so, and leaves nothing half-written', async () => {
    const release = await makeSoftwareRelease(join(folder, 'root'), KVM, { payload: 60_000_000 });
    await packRelease(release, join(folder, 'kvm-ubuntu-22.04.tar.gz'));
    const server = startCache(folder, [
      'serve',
      '--listen',
      '127.0.0.1:0',
      '--import',
      'kvm-ubuntu-22.04.tar.gz',
    ]);
    const result = resultOf(server);
    const ended = once(server, 'exit');
    const temporary = join(folder, 'cache-store', 'tmp');
    const written = (): Promise<readonly string[]> => readdir(temporary).catch(() => []);
    // The mark of the store that is made at first has a few bytes.
    const isImporting = async (): Promise<boolean> =>
      (
        await Promise.all((await written()).map((name) => stat(join(temporary, name)).catch(() => undefined)))
      ).some((stats) => stats !== undefined && stats.size > 1_000_000);
    while (!(await isImporting()) && server.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 5));
    server.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect((await result).stderr).toMatch(
      /^cache: interrupted; finished work is kept; run the same command again/m,
    );
    expect(await written()).toEqual([]);
  });

  it('ends with 2 or 3 and one line when the port is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { code, stderr } = await runCache(folder, 'serve', '--listen', `127.0.0.1:${port}`);
    expect(stderr).toMatch(new RegExp(`^cache: .*127\\.0\\.0\\.1:${port}: the port is in use.*\\n$`, 'm'));
    expect(stderr).not.toMatch(/^\s+at /m);
    expect([2, 3]).toContain(code);
  });
});
