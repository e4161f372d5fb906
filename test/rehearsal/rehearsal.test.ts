import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { slaposCfg } from '../fixtures/slapos-cfg.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { makeDisk, teachToMount, whyNoDisk, type DiskFormat } from './disk.ts';
import { readGuide, withValues, type Step } from './guide.ts';
import { connect, REPOSITORY, startMachine, whyNoMachines, type Machine } from './machine.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { EXECUTABLE } from '../cli/command.ts';

const RAPID_CDN = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
const MASTER = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.358/software/slapos-master/software.cfg';
const RE6STNET = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.338/software/re6stnet/software.cfg';
const CACHE_ADDRESS = 'fd00:32::10';
const CACHE_URL = `http://[${CACHE_ADDRESS}]:5050`;
const MIB = 1024 * 1024;

/** Blocks that only need this program, and what the reader is told to set. */
const RUN_AS_WRITTEN = new Set([undefined, 'values', EXECUTABLE === undefined ? 'clone' : 'executable']);

/**
 * docs/standalone-master.md, from its first to its last command, on a connected machine that has no cable to the others: what
 * they get comes on the disk.
 */
// FAT asks more of the program: it has no links, no permissions, and takes no large files.
describe.each<DiskFormat>(isHeavy ? ['ext4', 'vfat'] : ['vfat'])('the guide, with a disk of %s', (format) => {
  it('brings releases to a node without network, each block run as it is written', async (context) => {
    const obstacle = (await whyNoMachines()) ?? (await whyNoDisk(format));
    if (obstacle !== undefined) context.skip(obstacle);
    const folder = await temporaryFolder();
    const [connected, master, node] = await startMachines(folder);
    for (const machine of [connected, master, node]) await teachToMount(machine, format);
    const disks = [
      await makeDisk(join(folder, 'first.img'), format, 256 * MIB),
      await makeDisk(join(folder, 'second.img'), format, 256 * MIB),
    ] as const;
    const originals = await prepareConnected(connected, folder);
    const before = await slaposCfg();
    await writeFile(join(folder, 'slapos.cfg'), before);
    for (const machine of [master, node])
      await machine.run(`mkdir -p /etc/opt/slapos && cp '${join(folder, 'slapos.cfg')}' /etc/opt/slapos`);

    const values: Record<string, string> = {
      DISK: disks[0],
      UPSTREAM_CACHE: 'http://[::1]:5060/bcache',
      UPSTREAM_DIR: 'http://[::1]:5060/bdir',
      UPSTREAM_CERTIFICATES: '/srv/upstream/miscellaneous/sign.crt',
      CACHE: CACHE_URL,
    };
    const machines = { connected, master, node };
    const prelude = new Map<Machine, string>();
    const outputs: { readonly step: Step; readonly stdout: string }[] = [];
    for (const step of await readGuide('standalone-master.md')) {
      const machine = machines[step.machine as keyof typeof machines];
      expect(machine, `the machine of a block under "${step.heading}"`).toBeDefined();
      if (!RUN_AS_WRITTEN.has(step.needs)) continue;
      if (step.needs === 'values') {
        prelude.set(machine, `${prelude.get(machine) ?? ''}${withValues(step.script, values)}\n`);
        continue;
      }
      if (step.heading === 'A node') await waitForServer(node);
      if (step.machine === 'master' && step.script.includes('--slapos-cfg')) await waitForServer(master);
      if (step.heading === 'The next trip' && values['DISK'] === disks[0]) {
        // Another disk, with nothing on it: what the second trip carries is seen on it alone.
        values['DISK'] = disks[1];
        for (const machine of [connected, master])
          prelude.set(machine, withValues(prelude.get(machine) ?? '', values));
        await expectInstalled(node, [RAPID_CDN, MASTER], originals);
      }
      const { stdout } = await machine.run(`${prelude.get(machine) ?? ''}${step.script}`);
      outputs.push({ step, stdout });
    }
    expect(outputs.length).toBeGreaterThan(15);

    await expectInstalled(node, [RE6STNET], originals);
    for (const machine of [master, node])
      expect((await machine.run('cat /etc/opt/slapos/slapos.cfg.bak')).stdout).toBe(before);
    const carried = await contentsOf(connected, disks[1]);
    expect(carried.keys).toEqual([keyOfSoftwareUrl(RE6STNET)]);
    expect(carried.blobs).toHaveLength(1);
    // The connected machine and the others have no cable between them, and nobody has one to anywhere else.
    expect(await cablesOf(connected)).toEqual(['lo']);
    expect(await cablesOf(master)).toEqual(['cable', 'lo']);
    expect(await cablesOf(node)).toEqual(['cable', 'lo']);
  }, 600_000);
});

async function startMachines(folder: string): Promise<readonly [Machine, Machine, Machine]> {
  const connected = await startMachine('connected', join(folder, 'connected'));
  const master = await startMachine('master', join(folder, 'master'));
  const node = await startMachine('node', join(folder, 'node'));
  await connect(
    [master, [`${CACHE_ADDRESS}/64`, '192.168.32.10/24']],
    [node, ['fd00:32::11/64', '192.168.32.11/24']],
  );
  return [connected, master, node];
}

/**
 * What the guide presumes on the connected machine: this program, a release that SlapOS has compiled, and an upstream,
 * which is a second instance with a key of its own, on the machine's loopback.
 * @returns the folder of the compiled releases as they are to arrive, by md5 of their URL
 */
async function prepareConnected(connected: Machine, folder: string): Promise<string> {
  const root = join(folder, 'compiled');
  await mkdir(join(folder, 'upstream'), { recursive: true });
  for (const [url, name] of [
    [RAPID_CDN, 'rapid-cdn-1.0.344'],
    [RE6STNET, 're6stnet-1.0.338'],
  ] as const) {
    const release = await makeSoftwareRelease(root, url, { payload: 3 * MIB });
    await packRelease(release, join(folder, 'upstream', `${name}.tar.gz`));
  }
  const compiled = await makeSoftwareRelease(root, MASTER, { payload: 5 * MIB });
  await cp(compiled, join(folder, 'slapgrid', keyOfSoftwareUrl(MASTER)), {
    recursive: true,
    verbatimSymlinks: true,
  });
  await connected.run(
    EXECUTABLE === undefined
      ? `mkdir -p /opt/shacache && mount --bind '${REPOSITORY}' /opt/shacache && ln -s /opt/shacache/dist/cli/main.js /usr/local/bin/cache`
      : `cp '${EXECUTABLE}' /root/cache-linux-x64 && install -m 755 /root/cache-linux-x64 /usr/local/bin/cache`,
  );
  await connected.run(`
mkdir -p /opt/slapgrid
cp -a '${join(folder, 'slapgrid')}'/* /opt/slapgrid
cache init /srv/upstream
cd /srv/upstream
os=$(. /etc/os-release && echo "$ID-$VERSION_ID")
cache import --os "$os" '${join(folder, 'upstream')}'
nohup cache serve --listen '[::1]:5060' > serve.log 2>&1 &
until curl --silent --fail 'http://[::1]:5060/health'; do sleep 0.1; done`);
  return root;
}

/** The node is the only one to look at the master, over IPv6. */
async function waitForServer(node: Machine): Promise<void> {
  await node.run(`until curl --silent --fail '${CACHE_URL}/health'; do sleep 0.1; done`);
}

/** What a node does: `slapos.cfg` tells the cache and whom to trust; Python's standard library and openssl do the rest. */
async function expectInstalled(node: Machine, urls: readonly string[], originals: string): Promise<void> {
  for (const url of urls) {
    await node.run(`
mkdir -p /opt/slapgrid && cd /root
python3 - <<'END'
import configparser
config = configparser.ConfigParser()
config.read('/etc/opt/slapos/slapos.cfg')
assert config.get('networkcache', 'download-binary-cache-url') == '${CACHE_URL}/bcache'
end = '-----END CERTIFICATE-----'
certificates = [text.strip() + '\\n' + end + '\\n'
                for text in config.get('networkcache', 'signature-certificate-list').split(end) if text.strip()]
# That of the connected machine: the master has no key.
assert len(certificates) == 1
for number, certificate in enumerate(certificates):
    open('/root/trusted-%d.crt' % number, 'w').write(certificate)
END
trusted=()
for certificate in /root/trusted-*.crt; do trusted+=(--certificate "$certificate"); done
os=$(. /etc/os-release && echo "$ID,$VERSION_ID,$VERSION_CODENAME")
python3 '${REPOSITORY}/test/judges/python_client.py' --base '${CACHE_URL}' install --url '${url}' \\
  "\${trusted[@]}" --multiarch "$(uname --machine)-linux-gnu" --os "$os" --root /opt/slapgrid
diff --recursive --no-dereference '${join(originals, keyOfSoftwareUrl(url))}' '/opt/slapgrid/${keyOfSoftwareUrl(url)}'`);
  }
}

async function contentsOf(
  machine: Machine,
  device: string,
): Promise<{ readonly keys: readonly string[]; readonly blobs: readonly string[] }> {
  const list = async (folder: string): Promise<readonly string[]> => {
    const { stdout } = await machine.run(`mount ${device} /mnt/device; ls '${folder}'; umount /mnt/device`);
    return stdout.trim().split('\n');
  };
  return { keys: await list('/mnt/device/store/bdir'), blobs: await list('/mnt/device/store/bcache') };
}

async function cablesOf(machine: Machine): Promise<readonly string[]> {
  const { stdout } = await machine.run('ip -o link show | cut -d : -f 2 | cut -d @ -f 1');
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.trim())
    .sort();
}
