import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, type TestContext } from 'vitest';
import { bareDebian } from '../fixtures/bare-debian.ts';
import { run, type Ended } from '../http/outside-programs.ts';

/** A Debian with systemd as its first process, in namespaces of its own: its only network is a loopback. It ends with the test. */
export interface BootedDebian {
  readonly root: string;
  /** Runs a script of sh in it to its end, whatever its exit code. */
  attempt(script: string): Promise<Ended>;
  /** The same; the exit code must be 0. @returns stdout */
  run(script: string): Promise<string>;
}

/** What a container owes to systemd (its CONTAINER_INTERFACE): own /proc, /sys, /dev, /run, and a cgroup to manage. */
const BOOT = `
set -eu
root=$1
mount --make-rprivate /
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
for device in null zero full random urandom tty; do cp -a "/dev/$device" "$root/dev/"; done
ip link set lo up
mkdir "$root/run/outside"
cd "$root"
pivot_root . run/outside
umount --lazy /run/outside
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
`;

/** In a cgroup of its own, which the namespace then shows as the whole. */
const START = `
set -eu
group=$1; shift
mkdir "$group"
echo $$ > "$group/cgroup.procs"
exec unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child "$@"
`;

/** Boots a Debian 12; skips the test where that can't be. @param folder of the test, empty */
export async function bootDebian(context: TestContext, folder: string): Promise<BootedDebian> {
  const root = await bareDebian(context, folder, ['systemd', 'curl']);
  const { stdout } = await promisify(execFile)('findmnt', ['-n', '-o', 'TARGET', '-t', 'cgroup2']);
  const [cgroups = ''] = stdout.split('\n');
  if (cgroups === '') context.skip('needs a mounted cgroup2');
  const group = join(cgroups, basename(folder));
  const child = spawn('sh', ['-c', START, 'sh', group, 'sh', '-c', BOOT, 'sh', root], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
  });
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
    // The kernel may still be ending its processes.
    await expect.poll(() => removeGroup(group)).toBe(true);
  });
  const first = async (): Promise<string> =>
    (await run('pgrep', ['--parent', String(child.pid)])).stdout.trim();
  const attempt = async (script: string): Promise<Ended> =>
    run('nsenter', [
      ...[
        '--target',
        await first(),
        '--mount',
        '--pid',
        '--uts',
        '--ipc',
        '--net',
        '--cgroup',
        '--root',
        '--wd',
      ],
      ...[
        'env',
        '-i',
        'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
        'LC_ALL=C.UTF-8',
        'DEBIAN_FRONTEND=noninteractive',
      ],
      ...['sh', '-c', script],
    ]);
  // Some units of a bare system fail in a container.
  await expect
    .poll(async () => (await attempt('systemctl is-system-running')).stdout + complaint, { timeout: 60_000 })
    .toMatch(/^(running|degraded)\n/);
  return {
    ...{ root, attempt },
    async run(script) {
      const { code, stdout, stderr } = await attempt(script);
      if (code !== 0) throw new Error(`exit code ${String(code)} of:\n${script}\n${stdout}${stderr}`);
      return stdout;
    },
  };
}

/** @returns whether it is gone, with all below it */
async function removeGroup(group: string): Promise<boolean> {
  await run('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';']);
  return !existsSync(group);
}
