import { execFile, spawn } from 'node:child_process';
import { chown, mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { imageConfigs } from '../../scripts/image/read-image.ts';
import { whyNoMachines } from '../rehearsal/machine.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { IMAGE, unpackImage, WITHOUT_IMAGE, type ImageConfig } from './image.ts';

const run = promisify(execFile);
const URL = 'https://example.com/1.0/software/kvm/software.cfg';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe.skipIf(WITHOUT_IMAGE !== '')(`the image${WITHOUT_IMAGE}`, () => {
  it.each([
    ['amd64', ['lib64/ld-linux-x86-64.so.2', 'lib/x86_64-linux-gnu/libc.so.6']],
    ['arm64', ['lib/ld-linux-aarch64.so.1', 'lib/aarch64-linux-gnu/libc.so.6']],
  ] as const)('has what a runtime needs, for %s', async (arch, libraries) => {
    const inspect = async (...args: readonly string[]): Promise<unknown> =>
      JSON.parse(
        (await run('skopeo', ['--override-arch', arch, 'inspect', ...args, `oci-archive:${IMAGE}`])).stdout,
      );
    expect(await inspect()).toMatchObject({ Architecture: arch, Os: 'linux' });
    const { config, rootfs, history } = (await inspect('--config', '--raw')) as ImageConfig;
    expect(config).toMatchObject({
      User: expect.stringMatching(/^[1-9]\d+:[1-9]\d+$/) as string,
      Entrypoint: ['/usr/local/bin/cache'],
      Cmd: ['serve'],
      WorkingDir: '/data',
      Volumes: { '/data': {} },
      ExposedPorts: { '5050/tcp': {} },
      Healthcheck: { Test: ['CMD', '/usr/local/bin/cache', 'health'] },
    });
    expect(config.Labels['org.debian.packages']).toMatch(/\blibc6=2\./);
    expect(rootfs.diff_ids).toHaveLength(history.length);
    const root = join(folder, 'root');
    await unpackImage(arch, folder, root);
    for (const name of libraries) expect((await stat(join(root, name))).isFile()).toBe(true);
    const [uid = '', gid = ''] = config.User.split(':');
    expect(await readFile(join(root, 'etc/passwd'), 'utf8')).toContain(`:x:${uid}:${gid}:`);
    const { uid: owner, gid: group } = await stat(join(root, 'data'));
    if (process.getuid?.() === 0) expect([owner, group]).toEqual([Number(uid), Number(gid)]);
    expect((await stat(join(root, 'tmp'))).mode & 0o7777).toBe(0o1777);
    expect(await readdir(join(root, 'etc/ssl/certs'))).toEqual([]);
  });

  it('is taken by skopeo for registries and for Docker', async () => {
    const copy = (...args: readonly string[]) => run('skopeo', ['copy', '-q', ...args]);
    await copy('--all', `oci-archive:${IMAGE}`, `dir:${join(folder, 'dir')}`);
    const docker = join(folder, 'docker.tar');
    await copy(`oci-archive:${IMAGE}`, `docker-archive:${docker}:shacache:test`);
    const [{ Config }] = JSON.parse(
      (await run('tar', ['-xOf', docker, 'manifest.json'])).stdout,
    ) as readonly [{ readonly Config: string }];
    const { config } = JSON.parse((await run('tar', ['-xOf', docker, Config])).stdout) as ImageConfig;
    expect(config.Healthcheck.Test).toEqual(['CMD', '/usr/local/bin/cache', 'health']);
    expect((await imageConfigs(IMAGE)).map(({ architecture }) => architecture)).toEqual(['amd64', 'arm64']);
  });

  it.runIf(isHeavy)('has the same bytes when it is built again', { timeout: 600_000 }, async () => {
    const build = async (umask: string): Promise<string> => {
      await run('sh', ['-c', `umask ${umask} && npm run --silent build:image`]);
      return (await run('sha512sum', [IMAGE])).stdout;
    };
    expect(await build('077')).toBe(await build('022'));
  });

  it('serves as its user from a root that is read-only, and keeps everything in /data', async (context) => {
    const obstacle = await whyNoMachines();
    if (obstacle !== undefined) context.skip(obstacle);
    const archives = join(folder, 'archives');
    await mkdir(archives);
    await packRelease(
      await makeSoftwareRelease(join(folder, 'compiled'), URL),
      join(archives, 'kvm-1.0-ubuntu-22.04.tar.gz'),
    );
    const { cache, curl, data } = await startContainer(archives);
    const serving = cache('serve');
    await expect.poll(() => serving.stdout()).toMatch(/^Serving \/data\/cache-store on /m);
    expect(JSON.parse(await curl('/health'))).toMatchObject({ status: 'ok' });
    expect(await cache('health').end).toBe(0);
    expect(await cache('import', '/mnt').end).toBe(0);
    const key = keyOfSoftwareUrl(URL);
    const [[text]] = JSON.parse(await curl(`/bdir/${key}`)) as readonly [readonly [string, string]];
    const { sha512 } = JSON.parse(text) as { readonly sha512: string };
    await curl(`/bcache/${sha512}`, '-o', join(folder, 'got'));
    expect((await run('sha512sum', [join(folder, 'got')])).stdout).toContain(sha512);
    expect(JSON.parse(await curl('/ready'))).toMatchObject({ ready: true });
    expect((await readdir(data)).sort()).toEqual(['cache-store', 'sign.crt', 'sign.key']);
    await serving.stop();
    expect(await serving.end).toBe(0);
    expect(await cache('health').end).toBe(3);
  });

  /** The image as a container: namespaces, its user, a root that is read-only, and a volume at /data. */
  async function startContainer(archives: string) {
    const [root, data] = [join(folder, 'root'), join(folder, 'data')];
    const { config } = await unpackImage('amd64', folder, root);
    const [uid = '', gid = ''] = config.User.split(':');
    await mkdir(data);
    await chown(data, Number(uid), Number(gid));
    for (const name of ['proc', 'dev', 'mnt']) await mkdir(join(root, name), { recursive: true });
    const first = spawn(
      'unshare',
      [
        '--mount',
        '--net',
        '--pid',
        '--fork',
        '--kill-child',
        '--propagation',
        'private',
        'sh',
        '-euc',
      ].concat(
        `mount --bind '${root}' '${root}'
mount --bind '${data}' '${root}/data'
mount --bind -o ro '${archives}' '${root}/mnt'
mount -t proc proc '${root}/proc'
mount --bind /dev '${root}/dev'
mount -o remount,bind,ro '${root}'
ip link set lo up
echo ready
exec sleep infinity`,
      ),
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const ended = new Promise((resolve) => first.once('close', resolve));
    onTestFinished(async () => {
      first.kill('SIGKILL');
      await ended;
    });
    await new Promise((resolve) => first.stdout.once('data', resolve));
    const pid = (await run('pgrep', ['--parent', String(first.pid)])).stdout.trim();
    const inside = ['--target', pid, '--mount', '--net', '--pid'];

    const cache = (...args: readonly string[]) => {
      const enter = ['--root', root, '--wd', config.WorkingDir, '--setuid', uid, '--setgid', gid];
      const command = [...inside, '/usr/bin/unshare', ...enter, ...config.Entrypoint, ...args];
      const env = Object.fromEntries(config.Env.map((pair) => pair.split('=', 2) as [string, string]));
      const child = spawn('/usr/bin/nsenter', command, { env, stdio: ['ignore', 'pipe', 'inherit'] });
      let stdout = '';
      child.stdout.setEncoding('utf8').on('data', (more: string) => (stdout += more));
      const end = new Promise<number | null>((resolve) => child.once('close', resolve));
      const stop = async (): Promise<void> => {
        // nsenter waits for the program, and passes on no signal.
        const { stdout: pids } = await run('pgrep', ['--parent', String(child.pid)]);
        process.kill(Number(pids), 'SIGTERM');
      };
      return { stdout: () => stdout, stop, end };
    };
    const curl = async (path: string, ...args: readonly string[]): Promise<string> =>
      (await run('nsenter', [...inside, 'curl', '-sSf', ...args, `http://127.0.0.1:5050${path}`])).stdout;
    return { cache, curl, data };
  }
});
