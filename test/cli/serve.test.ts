import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { resultOf, runCache, startCache, type CommandResult } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

async function makeArchive(): Promise<void> {
  await mkdir(join(folder, 'medium'));
  const release = await makeSoftwareRelease(join(folder, 'root'), KVM);
  await packRelease(release, join(folder, 'medium', 'kvm-ubuntu-22.04.tar.gz'));
}

async function makeEmptyStore(): Promise<void> {
  await mkdir(join(folder, 'store', 'bcache'), { recursive: true });
  await writeFile(join(folder, 'store', 'store.json'), '{"format":1}');
  await writeFile(join(folder, 'config.ini'), `[store]\npath = ${join(folder, 'store')}\n`);
}

/** Serves until it has written its last line. */
async function serveBriefly(...options: readonly string[]): Promise<CommandResult> {
  const server = startCache(folder, ['serve', '--listen', '127.0.0.1:0', ...options]);
  const result = resultOf(server);
  await new Promise<void>((resolve) => {
    server.stderr?.on('data', (text: string) => {
      if (/^cache: (nothing was|the store .* is empty)/m.test(text)) resolve();
    });
    void result.then(() => {
      resolve();
    });
  });
  server.kill('SIGTERM');
  return result;
}

describe('serve', () => {
  it('imports a folder, says where it serves and what to do next, answers, and ends with 0 when told to', async () => {
    await makeArchive();
    const server = startCache(folder, ['serve', '--import', 'medium', '--listen', '127.0.0.1:0']);
    const result = resultOf(server);
    let shown = '';
    const address = await new Promise<string>((resolve, reject) => {
      server.stdout?.on('data', (text: string) => {
        shown += text;
        const [, url] = /^Serving .* on (http:\/\/127\.0\.0\.1:\d+)$/m.exec(shown) ?? [];
        if (url !== undefined && shown.includes('list the releases')) resolve(url);
      });
      void result.then(({ stderr }) => {
        reject(new Error(`it ended: ${stderr}`));
      });
    });
    expect(shown).toMatch(/imported[^]*Serving /);
    expect(shown.split('\n').slice(-7)).toEqual([
      '',
      'Next:',
      expect.stringMatching(`^curl ${address}/slapos\\.cfg +get the section for slapos\\.cfg$`),
      expect.stringMatching(`^cd ${folder} +go to this folder, on another terminal$`),
      expect.stringMatching(/^cache check URL +test whether nodes can install a release$/),
      expect.stringMatching(/^cache list +list the releases$/),
      '',
    ]);
    const response = await fetch(`${address}/bdir/${keyOfSoftwareUrl(KVM)}`);
    expect(response.status).toBe(200);
    expect(await response.json()).toHaveLength(1);
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    const { stderr } = await result;
    expect(stderr).not.toMatch(/^\s+at |is empty/m);
    expect(stderr).toContain(`note: the signing key is on this machine: ${join(folder, 'sign.key')}\n`);
  });

  it.each([[[]], [['--import']]])(
    'without a configuration says that its store is empty: %j',
    async (options) => {
      expect((await serveBriefly(...options)).stderr).toMatch(
        /^cache: the store .*cache-store is empty; no config\.ini found in .*\. Nodes get 404 and compile\. To fill it: cache import FOLDER$/m,
      );
    },
  );

  it('with a configuration says that its store is empty, with the command to fill it', async () => {
    await makeEmptyStore();
    expect((await serveBriefly()).stderr).toMatch(
      /^cache: the store .*store is empty\. Nodes get 404 and compile\. To fill it: cache import -c .*config\.ini FOLDER$/m,
    );
  });

  it.each(['empty', 'refused'])('says on its last line that nothing was imported: %s', async (what) => {
    await makeArchive();
    await runCache(folder, 'import', 'medium');
    await mkdir(join(folder, 'empty'));
    await mkdir(join(folder, 'refused'));
    await writeFile(join(folder, 'refused', 'bad-ubuntu-22.04.tar.gz'), 'cut off');
    const { stderr } = await serveBriefly('--import', what);
    const words = stderr
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('{'));
    expect(words.at(-1)).toMatch(
      new RegExp(
        `^cache: nothing was imported from ${what}\\. Only what was in the store .*cache-store before is served\\.$`,
      ),
    );
  });

  it.each(['with', 'without'])(
    '%s a configuration ends with 1 where there is nothing to import and nothing to serve',
    async (how) => {
      if (how === 'with') await makeEmptyStore();
      await mkdir(join(folder, 'empty'));
      const before = await readdir(folder);
      const { code, stdout, stderr } = await runCache(
        folder,
        'serve',
        '--listen',
        '127.0.0.1:0',
        '--import',
        'empty',
      );
      expect(stderr).toMatch(
        /^cache: nothing to serve: there is no archive and no medium in empty, and the store .* has no entry; is the disk mounted\?\n$/,
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(await readdir(folder)).toEqual(before);
    },
  );

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
