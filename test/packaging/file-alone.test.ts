import { execFile } from 'node:child_process';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { EXECUTABLE, initSite, runCache } from '../cli/command.ts';
import { bareDebian } from '../fixtures/bare-debian.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { makeDisk, whyNoDisk } from '../rehearsal/disk.ts';

const run = promisify(execFile);
const URL = 'https://example.com/1.0/software/kvm/software.cfg';
const KEY = keyOfSoftwareUrl(URL);
const PLATFORM = '--os ubuntu-22.04 --multiarch x86_64-linux-gnu';
const MIB = 1024 * 1024;

/** Requests and checks with nothing but what a bare Debian has: bash and coreutils. */
const AS_A_NODE = `
get() {
  exec 3<> /dev/tcp/127.0.0.1/5050
  printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' "$1" >&3
  LC_ALL=C sed '1,/^\\r$/d' <&3
}
until (exec 3<> /dev/tcp/127.0.0.1/5050) 2> /dev/null; do sleep 0.1; done
sha512=$(get /bdir/${KEY} | grep -oE '[0-9a-f]{128}' | head -n 1)
get "/bcache/$sha512" > /root/blob
echo "$sha512  /root/blob" | sha512sum --check --strict
mkdir -p /opt/slapgrid
tar -C /opt/slapgrid -xzf /root/blob`;

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

/**
 * A bare Debian with nothing but loopback for a network, and at /mnt/device, read-only, a disk that the executable exported on another
 * machine.
 */
async function mountInDebian(
  context: TestContext,
  options = '',
): Promise<{ readonly bash: (script: string) => Promise<string>; readonly readme: readonly string[] }> {
  const obstacle = await whyNoDisk('ext4');
  if (obstacle !== undefined) context.skip(obstacle);
  const root = await bareDebian(context, join(folder, 'debian'));
  const archive = join(folder, 'kvm-1.0-ubuntu-22.04.tar.gz');
  await packRelease(await makeSoftwareRelease(join(folder, 'compiled'), URL), archive);
  await initSite(folder, 'site');
  expect(await runCache(folder, 'import', '-c', 'site/config.ini', archive)).toMatchObject({ code: 0 });
  const device = await makeDisk(join(folder, 'disk.img'), 'ext4', 256 * MIB);
  const at = join(root, 'mnt/device');
  await mkdir(at);
  await run('mount', [device, at]);
  const { code, stderr } = await runCache(folder, 'export', '-c', 'site/config.ini', at);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  await run('umount', [at]);
  await run('mount', ['-o', `ro${options}`, device, at]);

  const text = await readFile(join(at, 'README.txt'), 'utf8');
  return {
    readme: text.split('\n').flatMap((line) => /^ {2}(\S.*?)(?: {3,}.*)?$/.exec(line)?.[1] ?? []),
    bash: async (script) => {
      // What it starts ends with it.
      const namespaces = ['--net', '--pid', '--fork', '--kill-child'];
      const enter = 'ip link set lo up && exec chroot "$1" bash --norc -euo pipefail -c "$2"';
      const { stdout } = await run(
        'unshare',
        [...namespaces, 'sh', '-c', enter, 'sh', root, `cd /\n${script}`],
        {
          env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', NO_COLOR: '1' },
          timeout: 60_000,
        },
      );
      return stdout;
    },
  };
}

/** What a node unpacked is what was compiled. */
async function expectUnpacked(): Promise<void> {
  await run('diff', [
    ...['--recursive', '--no-dereference', join(folder, 'compiled', KEY)],
    join(folder, 'debian/root/opt/slapgrid', KEY),
  ]);
}

const SKIPPED = EXECUTABLE === undefined ? ' (skipped: npm run test:packaging makes it)' : '';

describe.skipIf(SKIPPED !== '')(`in a bare Debian without a network, the executable${SKIPPED}`, () => {
  it('serves the medium from the medium, and nodes look up, download and verify', async (context) => {
    const { bash, readme } = await mountInDebian(context);
    expect(readme[0]).toBe('/mnt/device/cache serve');
    expect(
      await bash(`for program in node npm curl openssl python3; do ! command -v $program; done
${readme[0] ?? ''} > /root/screen 2> /root/log &
${AS_A_NODE}
cat /root/screen
cd /tmp
/mnt/device/cache health
/mnt/device/cache lookup --server http://127.0.0.1:5050 --json ${PLATFORM} ${URL} > /root/lookup
grep -q '"verified": true' /root/lookup
/mnt/device/cache check --deep --server http://127.0.0.1:5050 ${PLATFORM} ${URL}
/mnt/device/cache verify --deep`),
    ).toMatch(/^Serving \/mnt\/device\/store on /m);
    await expectUnpacked();
  });

  it('is copied first where the mount allows no programs, as README.txt says', async (context) => {
    const { bash, readme } = await mountInDebian(context, ',noexec');
    await expect(bash(readme[0] ?? '')).rejects.toThrow(/Permission denied/);
    const [copy = '', serve = ''] = readme[1]?.split(' && ') ?? [];
    await bash(`${copy}\n${serve} > /root/screen 2> /root/log &\n${AS_A_NODE}`);
    await expectUnpacked();
  });

  it('keeps the releases on the machine, as README.txt says', async (context) => {
    const { bash, readme } = await mountInDebian(context);
    const [init = '', rest = ''] = readme.slice(2);
    const [enter = '', imports = '', serve = ''] = rest.split(' && ');
    await bash(`${init}\n${enter}\n${imports}\n${serve} > /root/screen 2> /root/log &\n${AS_A_NODE}
/mnt/device/cache verify --deep`);
    await expectUnpacked();
  });
});
