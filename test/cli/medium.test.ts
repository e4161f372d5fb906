import { execFileSync, spawn } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { mountFat } from '../fixtures/fat-disk.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import {
  ENVIRONMENT,
  PROGRAM,
  initSite,
  resultOf,
  runCache,
  startCache,
  type CommandResult,
} from './command.ts';

const CDN = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const MIB = 1024 * 1024;

let folder: string;
let device: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  device = join(folder, 'device');
  await mkdir(device);
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);
const init = (site: string, ...args: readonly string[]): Promise<CommandResult> =>
  initSite(folder, site, ...args);
const on = (site: string): readonly string[] => ['-c', join(folder, site, 'config.ini')];

/** Fails unless the command ends with `code`. */
async function expectEnd(code: number, running: Promise<CommandResult>): Promise<CommandResult> {
  const result = await running;
  expect(result.stderr).not.toMatch(/unexpected error/);
  expect(result, result.stderr).toMatchObject({ code });
  return result;
}

/** A connected site with two releases, of which one has a blob of more than 2 MiB. */
async function makeConnected(): Promise<void> {
  await init('connected', '--common-name', 'Connected');
  for (const [url, file, payload] of [
    [CDN, 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz', 0],
    [KVM, 'kvm-1.0.344-ubuntu-22.04.tar.gz', 2 * MIB],
  ] as const) {
    const release = await makeSoftwareRelease(join(folder, 'root'), url, { payload });
    await packRelease(release, join(folder, 'connected', 'software', file));
  }
  await expectEnd(0, cache('import', ...on('connected'), join('connected', 'software')));
}

async function blobOf(url: string, site = 'connected'): Promise<string> {
  const { stdout } = await cache('lookup', ...on(site), '--json', url);
  return (JSON.parse(stdout) as { entries: { sha512: string }[] }).entries[0]?.sha512 ?? '';
}

interface ExportJson {
  readonly serial: number;
  readonly fingerprint: string;
  readonly certificateFile: string;
  readonly size: number;
  readonly entries: readonly { readonly url: string; readonly status: string }[];
}

describe('a trip over the air gap', () => {
  it('needs four commands, and the second one carries only what is new', async () => {
    await makeConnected();
    const exported = await expectEnd(0, cache('export', ...on('connected'), device));
    expect(exported.stdout).toMatch(/^RESULT +PLATFORM +SIZE +URL OR KEY\n/);
    expect(exported.stdout).toMatch(/^exported +ubuntu 22\.04 x86_64-linux-gnu +2\.\d MiB +https.*kvm/m);
    expect(exported.stdout).toMatch(/kvm[^]*rapid-cdn/);
    expect(exported.stderr).toMatch(/2 exported; 2\.\d MiB written/);
    expect(exported.stderr).toContain(`Unmount it before you unplug it: umount ${device}`);
    const [, fingerprint = ''] = /signed by "Connected" \(SHA-256 ([0-9A-F:]+)\)/.exec(exported.stderr) ?? [];
    expect(exported.stderr).toContain(
      `cache init /srv/shacache --no-key --trust ${device}/miscellaneous/sign.crt`,
    );

    const trust = join(device, 'miscellaneous', 'sign.crt');
    const made = await expectEnd(0, init('offline', '--trust', trust));
    expect(made.stderr).toContain(`trusted: "Connected" (SHA-256 ${fingerprint})`);
    const imported = await expectEnd(0, cache('import', ...on('offline'), device));
    expect(imported.stderr).toContain(`${device}: export 1 of `);
    expect(imported.stdout).toMatch(/^imported +ubuntu 22\.04 x86_64-linux-gnu +\S+ \S+ +https.*rapid-cdn/m);
    expect(imported.stderr).toMatch(/2 imported/);
    const { stdout } = await cache('lookup', ...on('offline'), KVM, '--os', 'ubuntu-22.04', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ entries: [{ verified: true }] });

    const again = await expectEnd(0, cache('import', ...on('offline'), '--json', device));
    expect((JSON.parse(again.stdout) as { status: string }[]).map(({ status }) => status)).toEqual([
      ...['unchanged', 'unchanged'],
    ]);

    const inventory = await expectEnd(0, cache('inventory', ...on('offline')));
    await writeFile(join(folder, 'have.json'), inventory.stdout);
    const url = 'https://example.com/new/software.cfg';
    const release = await makeSoftwareRelease(join(folder, 'root'), url);
    await packRelease(release, join(folder, 'new-ubuntu-22.04.tar.gz'));
    await expectEnd(0, cache('import', ...on('connected'), 'new-ubuntu-22.04.tar.gz'));
    const second = join(folder, 'second');
    await mkdir(second);
    const result = await expectEnd(
      0,
      cache('export', ...on('connected'), second, '--missing-from', 'have.json', '--json'),
    );
    const { serial, entries } = JSON.parse(result.stdout) as ExportJson;
    expect(serial).toBe(2);
    expect(entries.map(({ status, url: exported }) => [status, exported]).sort()).toEqual(
      [['exported', url], ...[CDN, KVM].map((one) => ['present', one])].sort(),
    );
    expect(result.stderr).toMatch(/have\.json: inventory of /);
    // The offline site has a key of its own, which nobody told the connected one of.
    expect(result.stderr).toMatch(
      /have\.json is signed by the untrusted "ShaCache Signing Cert" .*; if it is wrong/,
    );
    expect(await readdir(join(second, 'store', 'bdir'))).toEqual([keyOfSoftwareUrl(url)]);
    await expectEnd(0, cache('import', ...on('offline'), second));
    const older = await expectEnd(1, cache('import', ...on('offline'), device));
    expect(older.stderr).toMatch(
      /device is older than an imported medium: export 1 of .*; to import it anyway, add --accept-older$/m,
    );
    const synced = await expectEnd(1, cache('sync', ...on('offline'), device, 'offline'));
    expect(synced.stderr).toMatch(
      /device is older than an imported medium: export 1 of .*; to import it anyway, add --accept-older$/m,
    );
    await expectEnd(0, cache('sync', ...on('offline'), '--accept-older', device, 'offline'));
    await expectEnd(0, cache('import', ...on('offline'), '--accept-older', device));
  });
});

describe('cache export', () => {
  it('knows no other release than it has, suggests the nearest, and writes nothing', async () => {
    await makeConnected();
    const before = await contentsOf(folder);
    const wrong = KVM.replace('344', '345');
    const { stderr, stdout } = await expectEnd(
      1,
      cache('export', ...on('connected'), device, wrong, CDN, 'pypi:x=1'),
    );
    expect(stderr).toContain(`the store has nothing for ${wrong}; did you mean ${KVM} ?`);
    expect(stderr).toContain('the store has nothing for pypi:x=1');
    expect(stderr).not.toContain(`nothing for ${CDN}`);
    expect(stdout).toBe('');
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('writes nothing in a dry run', async () => {
    await makeConnected();
    const before = await contentsOf(folder);
    const { stdout, stderr } = await expectEnd(0, cache('export', ...on('connected'), device, '-n', CDN));
    expect(stdout).toMatch(/^planned .*rapid-cdn/m);
    expect(stdout).not.toContain('kvm');
    expect(stderr).toMatch(/1 to be exported; .* to write/);
    expect(await contentsOf(folder)).toEqual(before);
    await expectEnd(0, cache('export', ...on('connected'), device, CDN));
    const again = await expectEnd(0, cache('export', ...on('connected'), device, '-n'));
    expect(again.stderr).toMatch(/^1 on the medium already, 1 to be exported; 2\.\d MiB to write$/m);
    const same = await expectEnd(0, cache('export', ...on('connected'), device, '-n', CDN));
    expect(same.stdout).toMatch(/^unchanged .*rapid-cdn/m);
    expect(same.stderr).toMatch(/^1 on the medium already; nothing to write$/m);
  });

  it('reports how many files --recheck rewrote, and their size', async () => {
    await makeConnected();
    await expectEnd(0, cache('export', ...on('connected'), device));
    const path = join(device, 'store', 'bcache', await blobOf(KVM));
    await chmod(path, 0o644);
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000);
    await writeFile(path, bytes);
    const { stderr } = await expectEnd(0, cache('export', ...on('connected'), device, '--recheck'));
    expect(stderr).toMatch(/^1 exported, 1 on the medium already; 2\.\d MiB written$/m);
    expect(stderr).toMatch(/^1 file on the medium was damaged and is rewritten$/m);
  });

  it('says that nothing was written, and that the disk is no medium, where the other side has all', async () => {
    await makeConnected();
    const { stdout } = await expectEnd(0, cache('inventory', ...on('connected')));
    await writeFile(join(folder, 'have.json'), stdout);
    const args = [...on('connected'), device, '--missing-from', 'have.json'];
    const { stderr } = await expectEnd(0, cache('export', ...args));
    expect(stderr).toMatch(/^2 on the other side already; nothing was written$/m);
    expect(stderr).toContain(`${device} has no export on it: there is nothing to carry`);
    expect(await readdir(device)).toEqual([]);
  });

  it.each([
    [
      ['nowhere'],
      2,
      /nowhere: no such folder; is the medium mounted\? To export into a folder, make it: mkdir/,
    ],
    [[''], 2, /the folder of the medium has no name/],
    [['.', '--split', '0'], 2, /--split: 0 is too small; name at least 64 KiB/],
    [['.', '--split', 'x'], 2, /--split: not a size: "x"/],
    [['.', '--missing-from', 'none.json'], 2, /none\.json: can't be read \(ENOENT: no such file or folder\)/],
    [[], 2, /missing required argument 'medium'/],
  ])('%j ends with %i', async (args, code, message) => {
    await mkdir(join(folder, 'cache-store', 'bcache'), { recursive: true });
    const { stderr } = await expectEnd(code, cache('export', ...args));
    expect(stderr).toMatch(message);
  });

  it('onto the disk that the store and its key are on works, and warns of the key', async () => {
    await makeConnected();
    const { stderr } = await expectEnd(0, cache('export', ...on('connected'), 'connected'));
    expect(stderr).toMatch(/2 on the medium already; 0 B written/);
    expect(stderr).toMatch(/note: .*connected\/miscellaneous\/sign\.key travels with the medium/);
    await init('offline', '--trust', join('connected', 'miscellaneous', 'sign.crt'));
    await expectEnd(0, cache('import', ...on('offline'), 'connected'));
  });

  it.each([
    ['the store itself', 'connected/store', /connected\/store is inside the exported store .*/],
    ['a folder in it', 'connected/store/sub', /store\/sub is inside the exported store/],
    ['a link to it', 'link', /link is inside the exported store/],
    [
      'what the store is deep inside of',
      '.',
      /the exported store .*connected\/store is inside .*, the folder to write to/,
    ],
  ])('into %s is refused with 2, and writes nothing', async (_what, target, message) => {
    const sites = join(folder, 'store');
    await mkdir(sites);
    await initSite(sites, 'connected');
    await mkdir(join(sites, 'connected/store/sub'));
    await symlink('connected/store', join(sites, 'link'));
    const before = await contentsOf(folder);
    const config = ['-c', 'store/connected/config.ini'];
    const path = target === '.' ? '.' : join('store', target);
    for (const more of [[], ['-n']]) {
      const { stderr } = await expectEnd(2, cache('export', ...config, ...more, path));
      expect(stderr).toMatch(message);
    }
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('to a place for disks where nothing is mounted asks for --no-mount-check', async (context) => {
    await makeConnected();
    const place = await mkdtemp('/mnt/shacache-test-').catch(() =>
      context.skip('needs the right to write to /mnt'),
    );
    onTestFinished(() => rm(place, { recursive: true, force: true }));
    const inside = join(place, 'backup');
    await mkdir(inside);
    for (const path of [place, inside])
      for (const more of [[], ['--dry-run']]) {
        const { stderr } = await expectEnd(2, cache('export', ...on('connected'), path, ...more));
        expect(stderr).toBe(
          `cache: nothing is mounted at ${path}: mount the medium there, or add --no-mount-check to write to the disk that the folder is on\n`,
        );
      }
    expect(await readdir(inside)).toEqual([]);
    await expectEnd(0, cache('export', ...on('connected'), inside, '--no-mount-check'));
    await rm(inside, { recursive: true });
    await mountTmpfs(context, place, 64 * MIB);
    await mkdir(inside);
    await expectEnd(0, cache('export', ...on('connected'), inside));
    await expectEnd(0, cache('export', ...on('connected'), place));
  });

  it('of an empty store says so', async () => {
    await init('connected');
    const { stderr } = await expectEnd(1, cache('export', ...on('connected'), device));
    expect(stderr).toMatch(/the store has nothing to export; fill it with: cache import/);
    expect(await readdir(device)).toEqual([]);
  });

  it('of a damaged blob ends with 1, and exports the rest', async () => {
    await makeConnected();
    const path = join(folder, 'connected', 'store', 'bcache', await blobOf(KVM));
    await chmod(path, 0o644);
    const bytes = await readFile(path);
    bytes.writeUInt8(bytes.readUInt8(1000) ^ 1, 1000);
    await writeFile(path, bytes);
    const { stdout, stderr } = await expectEnd(1, cache('export', ...on('connected'), device));
    expect(stdout).toMatch(/^LEFT OUT .*kvm/m);
    expect(stderr).toMatch(
      /left out: .*kvm.*: blob \w+ of the store is damaged: .*; see: cache verify --deep/,
    );
    expect(stderr).toMatch(/1 exported, 1 left out/);
    await expectEnd(0, init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt')));
    await expectEnd(0, cache('import', ...on('offline'), device));
  });

  it('to a file system that takes no files that large tells to split, which helps', async () => {
    await makeConnected();
    // A limit of the process in place of one of the file system: 1 MiB, in blocks of 1 KiB.
    const limited = (...args: readonly string[]): Promise<CommandResult> =>
      resultOf(
        spawn('bash', ['-c', 'ulimit -f 1024; exec "$@"', 'bash', ...PROGRAM, ...args], {
          cwd: folder,
          env: ENVIRONMENT,
          stdio: ['ignore', 'pipe', 'pipe'],
        }),
      );
    const failed = await expectEnd(3, limited('export', ...on('connected'), device));
    expect(failed.stderr).toMatch(/takes no file that large \(EFBIG\); export again with --split 2G/);
    await expectEnd(0, limited('export', ...on('connected'), device, '--split', '1M'));
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    await expectEnd(0, cache('import', ...on('offline'), device));
    expect(await blobOf(KVM, 'offline')).toBe(await blobOf(KVM));
  });

  it.for(['a folder', 'a disk with FAT'])(
    'makes a store that can be served, blobs in parts too: on %s',
    async (where, context) => {
      // With room for the executable, too.
      if (where !== 'a folder') await mountFat(context, join(folder, 'image'), device, 256 * MIB);
      await makeConnected();
      await expectEnd(0, cache('export', ...on('connected'), device, '--split', '1M'));
      const trust = join(device, 'miscellaneous', 'sign.crt');
      await expectEnd(0, cache('init', 'served', '--no-key', '--trust', trust));
      const ini = join(folder, 'served', 'config.ini');
      const config = await readFile(ini, 'utf8');
      await writeFile(ini, config.replace(/^path = .*$/m, `path = ${join(device, 'store')}`));
      const server = startCache(folder, ['serve', '-c', ini, '--listen', '127.0.0.1:0']);
      const url = await new Promise<string>((resolve, reject) => {
        let text = '';
        server.stdout?.on('data', (chunk: Buffer) => {
          text += chunk.toString();
          const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
          if (found !== undefined) resolve(found);
        });
        server.once('close', () => {
          reject(new Error(text));
        });
      });
      const curl = (path: string, ...args: readonly string[]): Buffer =>
        execFileSync('curl', ['-sSf', ...args, `${url}${path}`], { maxBuffer: 64 * MIB });
      const sha512 = await blobOf(KVM);
      expect(await readdir(join(device, 'store', 'parts'))).toContain(`${sha512}.0003`);
      expect(JSON.parse(curl(`/bdir/${keyOfSoftwareUrl(KVM)}`).toString())).toHaveLength(1);
      const original = await readFile(join(folder, 'connected', 'store', 'bcache', sha512));
      expect(curl(`/bcache/${sha512}`).equals(original)).toBe(true);
      expect(curl(`/bcache/${sha512}`, '-I').toString()).toMatch(
        new RegExp(`^content-length: ${original.length}\r$`, 'im'),
      );
      // From the first part into the third; a client that resumes at the border; the end.
      for (const range of [`${MIB - 5}-${2 * MIB + 5}`, `${MIB}-`, '-7'])
        expect(
          curl(`/bcache/${sha512}`, '-r', range).equals(slice(original, range)),
          `the range ${range}`,
        ).toBe(true);
      expect(curl(`/bcache/${await blobOf(CDN)}`).length).toBeGreaterThan(1000);
      server.kill('SIGTERM');
      await resultOf(server);
      const { stdout } = await expectEnd(0, cache('verify', ...on('served'), '--deep'));
      expect(stdout).toBe('');
    },
  );
});

/** The bytes of a range as curl names it. */
function slice(bytes: Buffer, range: string): Buffer {
  const [start = '', end = ''] = range.split('-');
  return start === ''
    ? bytes.subarray(-Number(end))
    : bytes.subarray(Number(start), Number(end || Infinity) + 1);
}

describe('cache import of a medium', () => {
  it('that is not trusted tells whom to trust, and no key was made for it', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device);
    await mkdir(join(folder, 'bare', 'cache-store', 'bcache'), { recursive: true });
    const before = await contentsOf(join(folder, 'bare'));
    const { stderr, stdout } = await expectEnd(1, runCache(join(folder, 'bare'), 'import', device));
    expect(stderr).toMatch(
      /is signed by "Connected" \(SHA-256 [0-9A-F:]{95}\), which this site does not trust/,
    );
    expect(stdout).toBe('');
    expect(await contentsOf(join(folder, 'bare'))).toEqual(before);
    // The command that it names is enough.
    const [, certificate = ''] = /: cache init SITE --trust (.*)$/m.exec(stderr) ?? [];
    await expectEnd(0, runCache(folder, 'init', 'bare', '--no-key', '--trust', certificate));
    await expectEnd(0, runCache(join(folder, 'bare'), 'import', device));
  });

  it('that is damaged shows the list, and ends with 1', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device);
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    const blob = await blobOf(CDN);
    await truncate(join(device, 'store', 'bcache', blob), 5);
    const { stderr } = await expectEnd(1, cache('import', ...on('offline'), device));
    expect(stderr).toMatch(
      /^cache: \S+device does not match its manifest; nothing was imported:\n {2}rapid-cdn@1\.0\.344, ubuntu 22\.04 x86_64-linux-gnu: blob has 5 bytes instead of \d+ \(store\/bcache\/[0-9a-f]{8}…\)\n/,
    );
    // The command that it names takes the rest.
    const [, args = ''] =
      /To import its undamaged releases: cache (import --partial .*)$/m.exec(stderr) ?? [];
    const partial = await expectEnd(1, cache(...args.split(' '), ...on('offline')));
    expect(partial.stdout).toMatch(/^imported .*kvm[^]*^REFUSED .*rapid-cdn/m);
    expect(partial.stdout).not.toContain(blob);
    expect(partial.stderr).not.toContain(blob);
    expect(partial.stderr).toMatch(/rapid-cdn.*: blob on the medium: has 5 bytes instead of \d+$/m);
    expect(partial.stderr.trimEnd()).toMatch(
      /^cache: \S+device is damaged; where it was made, this replaces the damage: cache export --recheck MEDIUM$/m,
    );
    const { stdout: log } = await expectEnd(0, cache('log', ...on('offline')));
    expect(log).toMatch(/import .*export 1 is damaged: 1 of 2 releases refused/);
    const json = await expectEnd(1, cache('import', ...on('offline'), '--partial', '--json', device));
    expect((JSON.parse(json.stdout) as { status: string }[]).map(({ status }) => status).sort()).toEqual([
      'refused',
      'unchanged',
    ]);
    expect(json.stderr).toMatch(/device is damaged; where it was made/);
  });

  it('copies packages beside the store, and says where', async () => {
    await makeConnected();
    await mkdir(join(device, 'packages'));
    await writeFile(join(device, 'packages', 'node'), 'a program');
    const exported = await expectEnd(0, cache('export', ...on('connected'), device));
    expect(exported.stderr).toMatch(/^the manifest also covers 1 file of packages\/$/m);
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    const { stderr } = await expectEnd(0, cache('import', ...on('offline'), device));
    expect(stderr).toContain(
      `1 file of packages/ verified and copied to ${join(folder, 'offline', 'packages')}\n`,
    );
    expect(await readFile(join(folder, 'offline', 'packages', 'node'), 'utf8')).toBe('a program');
    // A medium that brings only packages is no mistake.
    await cache('inventory', ...on('offline')).then(({ stdout }) =>
      writeFile(join(folder, 'have.json'), stdout),
    );
    const second = join(folder, 'second');
    await mkdir(join(second, 'packages'), { recursive: true });
    await writeFile(join(second, 'packages', 'node'), 'another program');
    const changed = await expectEnd(
      0,
      cache('export', ...on('connected'), second, '--missing-from', 'have.json'),
    );
    expect(changed.stderr).not.toMatch(/note: packages/);
    await writeFile(join(second, 'packages', 'node'), 'another program, changed');
    const refused = await expectEnd(1, cache('import', ...on('offline'), second));
    expect(refused.stderr).toMatch(
      /^It was changed, .*\. Where it was made, copy the original files to packages\/, then run: cache export --recheck \S+second$/m,
    );
    const again = await expectEnd(0, cache('export', ...on('connected'), '--recheck', second));
    expect(again.stderr).toMatch(
      /umount[^]*\nnote: packages\/ was changed since the last export, and is signed as it is now:\n {2}packages\/node: other bytes\n$/,
    );
    await writeFile(join(second, 'packages', 'node'), 'another program');
    await expectEnd(0, cache('export', ...on('connected'), '--recheck', second));
    await expectEnd(0, cache('import', ...on('offline'), second));
    expect(await readFile(join(folder, 'offline', 'packages', 'node'), 'utf8')).toBe('another program');
  });

  it('in a dry run writes nothing, where there is a store and where there is none', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device);
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    for (const code of [0, 3]) {
      const before = await contentsOf(folder);
      const { stdout, stderr } = await expectEnd(code, cache('import', ...on('offline'), '-n', device));
      if (code === 0) expect(stdout.match(/^checked /gm)).toHaveLength(2);
      else
        expect(stderr).toMatch(/there is no store at .*; is its disk mounted\? To make one: cache init -c/);
      expect(await contentsOf(folder)).toEqual(before);
      await rm(join(folder, 'offline', 'store'), { recursive: true, force: true });
    }
  });

  it('leaves archives beside the store alone, and tells of them; they can be imported, too', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device, CDN);
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    const release = await makeSoftwareRelease(join(folder, 'root'), 'https://example.com/software.cfg');
    await packRelease(release, join(device, 'software', 'x-ubuntu-22.04.tar.gz'));
    const { stderr } = await expectEnd(0, cache('import', ...on('offline'), device));
    expect(stderr).toMatch(
      /software holds 1 archives, which are not part of the export; .* cache import .*software/,
    );
    const both = await expectEnd(
      0,
      cache('import', ...on('offline'), '--json', device, join(device, 'software')),
    );
    expect(JSON.parse(both.stdout)).toMatchObject([
      { status: 'unchanged', url: CDN },
      { status: 'imported', file: 'x-ubuntu-22.04.tar.gz' },
    ]);
  });

  it('of a store that nobody has signed is none, and the message says what is missing', async () => {
    await makeConnected();
    await init('offline');
    const { stdout, stderr } = await expectEnd(1, cache('import', ...on('offline'), 'connected'));
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      /connected looks like a medium \(.*\), but has no manifest\.json: its contents are unsigned.*\n.* cache export \S+connected\nTo import its archives anyway, signed with the key of this site: cache import -c \S+offline\/config\.ini \S+connected\/software\n/,
    );
    // Who names the archives vouches for them.
    await expectEnd(0, cache('import', ...on('offline'), join('connected', 'software')));
    // Nor are its own archives meant by the folder of a site: a medium looks the same.
    await expectEnd(1, cache('import', ...on('connected'), 'connected'));
    await expectEnd(0, cache('import', ...on('connected'), join('connected', 'software')));
  });

  it('whose manifest was taken away is not signed here, with or without its store', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device);
    await init('offline', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    await cache('init', 'keyless', '--no-key', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    const evil = await makeSoftwareRelease(join(folder, 'root'), 'https://example.com/software.cfg');
    await packRelease(evil, join(device, 'software', 'evil-ubuntu-22.04.tar.gz'));
    await rm(join(device, 'manifest.json'));
    const before = await contentsOf(join(folder, 'offline'));
    for (const what of ['store', 'software']) {
      const { stdout, stderr } = await expectEnd(1, cache('import', ...on('offline'), device));
      expect([stdout, stderr]).toEqual(['', expect.stringContaining('has no manifest.json') as string]);
      const advice =
        /^To import its archives anyway, signed with the key of this site: cache import -c \S+ \S+device\/software$/m;
      expect(stderr).toMatch(advice);
      const keyless = await expectEnd(1, cache('import', ...on('keyless'), device));
      expect(keyless.stderr).toMatch(/no key to sign archives with/);
      expect(keyless.stderr).not.toMatch(/To import its archives/);
      expect(await contentsOf(join(folder, 'offline'))).toEqual(before);
      await rm(join(device, what), { recursive: true });
    }
    // Without archives there are none to name.
    const { stderr } = await expectEnd(1, cache('import', ...on('offline'), device));
    expect(stderr).not.toMatch(/To import its archives|no key to sign/);
  });
});

describe('archives that somebody put on a medium whose manifest was taken away', () => {
  const EVIL = 'evil-ubuntu-22.04.tar.gz';

  /** A medium of another site, with an archive in its very folder, and this site, which has a key. */
  async function makeStripped(...taken: readonly string[]): Promise<void> {
    await init('connected', '--common-name', 'Connected');
    const evil = await makeSoftwareRelease(join(folder, 'root'), KVM);
    await packRelease(evil, join(folder, 'connected', 'software', EVIL));
    await expectEnd(0, cache('import', ...on('connected'), join('connected', 'software')));
    await cache('export', ...on('connected'), device);
    await init('site', '--trust', join(device, 'miscellaneous', 'sign.crt'));
    await packRelease(evil, join(device, EVIL));
    for (const name of taken) await rm(join(device, name), { recursive: true });
  }

  const BESIDE = ['store', 'software', 'packages', 'miscellaneous'];
  const site = (path: string): string => join(folder, 'site', path);

  async function expectNothingSigned(running: Promise<CommandResult>): Promise<string> {
    const before = await contentsOf(site(''));
    const { stdout, stderr } = await expectEnd(1, running);
    expect([stdout, stderr]).toEqual(['', expect.stringContaining('has no manifest.json') as string]);
    expect(await contentsOf(site(''))).toEqual(before);
    return stderr;
  }

  it.each([
    ...BESIDE.map((left) => [left, BESIDE.filter((name) => name !== left)] as const),
    ['packages and miscellaneous', ['store', 'software']] as const,
  ])('are not signed while there is anything of it, such as %s', async (_left, taken) => {
    await makeStripped('manifest.json', ...taken);
    await expectNothingSigned(cache('import', ...on('site'), device));
  });

  it('are not signed however the folder is named, by import or by the server', async () => {
    await makeStripped('manifest.json', 'store', 'software');
    await symlink(device, join(folder, 'link'));
    await symlink('.', join(device, 'here'));
    for (const path of [`${device}/`, `${device}/.`, `${device}/packages/..`, join(folder, 'link')])
      await expectNothingSigned(cache('import', ...on('site'), path));
    await expectNothingSigned(cache('import', ...on('site'), join(device, 'here')));
    await expectNothingSigned(cache('import', ...on('site'), join(device, EVIL), device));
    await expectNothingSigned(runCache(device, 'import', ...on('site'), '.'));
    await expectNothingSigned(cache('serve', ...on('site'), '--listen', '127.0.0.1:0', '--import', device));
    // A FAT disk tells no upper from lower case.
    await rename(join(device, 'packages'), join(device, 'PACKAGES'));
    await rm(join(device, 'miscellaneous'), { recursive: true });
    await expectNothingSigned(cache('import', ...on('site'), device));
  });

  it('are not signed where a folder for archives is a link to the medium, or has a config.ini', async () => {
    await makeStripped('manifest.json', 'store', 'software');
    await symlink('.', join(device, 'software'));
    await expectNothingSigned(cache('import', ...on('site'), join(device, 'software')));
    for (const name of ['packages', 'miscellaneous', 'software'])
      await rm(join(device, name), { recursive: true });
    await writeFile(join(device, 'config.ini'), '');
    await expectNothingSigned(cache('import', ...on('site'), device));
  });

  it('are signed where somebody names them, as the message says', async () => {
    await makeStripped('manifest.json', 'store', 'software');
    const message = await expectNothingSigned(cache('import', ...on('site'), device));
    expect(message).toContain(`cache import -c ${join(folder, 'site', 'config.ini')} ${device}/*.tar.gz`);
    await expectEnd(0, cache('import', ...on('site'), join(device, EVIL)));
  });

  it('are not signed by a configuration of the medium, with the key of the site', async () => {
    await makeStripped('manifest.json', 'store');
    await rename(join(device, EVIL), join(device, 'software', EVIL));
    const config = `[store]\npath = ${site('store')}\n[signature]\n`;
    const key = site('miscellaneous/sign.key');
    const certificate = `certificate-file = ${site('miscellaneous/sign.crt')}\n`;
    await writeFile(join(device, 'config.ini'), `${config}private-key-file = ${key}\n${certificate}`);
    const refused = /device\/config\.ini: .*sign\.key,? .*outside the current folder.* -c /s;
    for (const path of ['.', 'software', join('software', EVIL)]) {
      const before = await contentsOf(site(''));
      const { stdout, stderr } = await expectEnd(2, runCache(device, 'import', path));
      expect([stdout, stderr]).toEqual(['', expect.stringMatching(refused) as string]);
      expect(await contentsOf(site(''))).toEqual(before);
    }
    // Nor through a link, with and without a configuration.
    await symlink(key, join(device, 'sign.key'));
    await symlink(site('miscellaneous/sign.crt'), join(device, 'sign.crt'));
    await writeFile(join(device, 'config.ini'), config);
    const linked = await expectEnd(2, runCache(device, 'import', 'software'));
    expect(linked.stderr).toMatch(refused);
    await rm(join(device, 'config.ini'));
    const bare = await expectEnd(2, runCache(device, 'import', 'software'));
    expect(bare.stderr).toMatch(/sign\.key leads to .*, outside/);
    // Who names the configuration vouches for it.
    await writeFile(join(device, 'config.ini'), `${config}private-key-file = ${key}\n${certificate}`);
    await expectEnd(0, runCache(device, 'import', '-c', 'config.ini', 'software'));
  });
});

describe('the configuration of a medium, found in the current folder', () => {
  const machine = (path: string): string => join(folder, 'machine', path);

  /** A medium of a stranger, whose configuration trusts him, and folders of the machine. */
  async function makeStrange(...lines: readonly string[]): Promise<void> {
    await mkdir(machine('cron.d'), { recursive: true });
    await writeFile(machine('cron.d/job'), 'precious');
    await init('stranger', '--common-name', 'Stranger');
    await mkdir(join(device, 'packages', 'deep'), { recursive: true });
    for (const name of ['evil', 'deep/evil'])
      await writeFile(join(device, 'packages', name), '* * * * * root id');
    await packRelease(
      await makeSoftwareRelease(join(folder, 'root'), CDN),
      join(folder, 'a-ubuntu-22.04.tar.gz'),
    );
    await expectEnd(0, cache('import', ...on('stranger'), 'a-ubuntu-22.04.tar.gz'));
    await expectEnd(0, cache('export', ...on('stranger'), device));
    const config = [`[signature]`, 'private-key-file = none', 'certificate-file = miscellaneous/sign.crt'];
    await writeFile(join(device, 'config.ini'), [...config, ...lines, ''].join('\n'));
    await mkdir(join(device, 'own', 'store', 'bcache'), { recursive: true });
  }

  const STORE = ['[store]', 'path = own/store'];
  const BUCKET = ['[store]', 'url = s3://bucket/store', 'local-cache = own/store'];
  const SERVE = ['serve', '--listen', '127.0.0.1:0'];
  const WRITERS = [['import', '.'], SERVE, ['gc']];

  it.each([
    ['packages', STORE, 'own/packages', 'cron.d', '[store] path', WRITERS],
    ['blobs', STORE, 'own/store/bcache', 'cron.d', '[store] path', WRITERS],
    ['temporary files', STORE, 'own/store/tmp', 'cron.d', '[store] path', WRITERS],
    [
      'certificate',
      [...STORE, '[server]', 'tls = auto'],
      'own/server.crt.replaced',
      'cron.d/job',
      '[server] tls',
      [SERVE],
    ],
    ['copies', BUCKET, 'own/store/bcache', 'cron.d', '[store] local-cache', [SERVE]],
  ])('writes no %s through a link out of the folder', async (_what, config, name, target, key, commands) => {
    await makeStrange(...config);
    await rm(join(device, name), { recursive: true, force: true });
    await symlink(machine(target), join(device, name));
    const before = await contentsOf(machine(''));
    const message = `${key}: ${join(device, name)} leads to ${machine(target)}, outside the current folder`;
    for (const command of commands) {
      const { stdout, stderr } = await expectEnd(2, runCache(device, ...command));
      expect(stdout).toBe('');
      expect(stderr).toContain(message);
      expect(stderr).toContain(`to use it anyway: -c ${join(device, 'config.ini')}`);
    }
    expect((await expectEnd(2, runCache(device, 'config', 'check'))).stdout).toContain(message);
    expect(await contentsOf(machine(''))).toEqual(before);
  });

  it('may name a store elsewhere, for what only looks at it', async () => {
    await init('site');
    await makeStrange('[store]', `path = ${join(folder, 'site', 'store')}`);
    const before = await contentsOf(join(folder, 'site'));
    for (const command of [['verify'], ['gc', '--dry-run'], ['list']])
      await expectEnd(0, runCache(device, ...command));
    await expectEnd(1, runCache(device, 'remove', '--dry-run', CDN));
    for (const command of [['verify', '--repair'], ['gc'], ['remove', CDN]])
      await expectEnd(2, runCache(device, ...command));
    expect(await contentsOf(join(folder, 'site'))).toEqual(before);
  });

  it('copies no packages through a link in their folder', async () => {
    await makeStrange(...STORE);
    await mkdir(join(device, 'own', 'packages'));
    await symlink(machine('cron.d'), join(device, 'own', 'packages', 'deep'));
    const before = await contentsOf(machine(''));
    const { stderr } = await expectEnd(3, runCache(device, 'import', '.'));
    expect(stderr).toContain(
      `${join(device, 'own', 'packages', 'deep')} leads out of ${join(device, 'own', 'packages')}; remove the link`,
    );
    expect(await contentsOf(machine(''))).toEqual(before);
  });

  it('makes no certificate out of the folder', async () => {
    await makeStrange();
    const config = `[signature]\nprivate-key-file = own.key\ncertificate-file = ${machine('nologin')}\n`;
    await writeFile(join(device, 'config.ini'), config);
    const before = await contentsOf(machine(''));
    const { stderr } = await expectEnd(2, runCache(device, 'keygen'));
    expect(stderr).toMatch(/\[signature\] certificate-file = \S+nologin is outside the current folder/);
    expect(await contentsOf(machine(''))).toEqual(before);
  });

  it('writes to no store of this machine, and reads from one', async () => {
    await init('site');
    await makeStrange('[store]', `path = ${join(folder, 'site', 'store')}`);
    const before = await contentsOf(join(folder, 'site'));
    const { stderr } = await expectEnd(2, runCache(device, 'import', '.'));
    expect(stderr).toMatch(/\[store\] path = \S+site\/store is outside the current folder/);
    await expectEnd(0, runCache(device, 'list'));
    expect(await contentsOf(join(folder, 'site'))).toEqual(before);
    await expectEnd(0, runCache(device, 'import', '-c', 'config.ini', '.'));
  });

  it('is not missing so that the default store may be a link', async () => {
    await makeStrange();
    await rm(join(device, 'config.ini'));
    await symlink(machine('cron.d'), join(device, 'cache-store'));
    await packRelease(join(folder, 'root', keyOfSoftwareUrl(CDN)), join(folder, 'b-ubuntu-22.04.tar.gz'));
    const before = await contentsOf(machine(''));
    const { stderr } = await expectEnd(2, runCache(device, 'import', join(folder, 'b-ubuntu-22.04.tar.gz')));
    expect(stderr).toMatch(
      /cache-store leads to \S+cron\.d, outside the current folder; .*, make an empty config\.ini and add: -c config\.ini/,
    );
    expect(await contentsOf(machine(''))).toEqual(before);
  });
});

describe('cache inventory', () => {
  it('makes no key for a site that has none', async () => {
    await mkdir(join(folder, 'cache-store', 'bcache'), { recursive: true });
    const before = await contentsOf(folder);
    const { stdout, stderr } = await expectEnd(0, cache('inventory'));
    const [text, signature] = JSON.parse(stdout) as [string, string];
    expect(signature).toBe('');
    expect(JSON.parse(text)).toMatchObject({ type: 'shacache-inventory', entries: [] });
    expect(stderr).toMatch(/no signing key: the inventory is not signed/);
    expect(await contentsOf(folder)).toEqual(before);
  });
});

describe('cache init --no-key', () => {
  it('makes a site that imports media, serves and is looked after, and has one certificate to trust', async () => {
    await makeConnected();
    await cache('export', ...on('connected'), device);
    const trust = ['--trust', join(device, 'miscellaneous', 'sign.crt')];
    const made = await expectEnd(0, cache('init', '--no-key', ...trust, 'offline'));
    expect(made.stdout).not.toMatch(/sign\./);
    expect(made.stderr).not.toMatch(/sign\.key/);
    await expectEnd(0, cache('import', ...on('offline'), device));
    for (const command of ['inventory', 'verify --deep', 'gc', `check --os ubuntu-22.04 ${KVM}`, 'log'])
      await expectEnd(0, cache(...command.split(' '), ...on('offline')));
    const { stdout } = await expectEnd(
      0,
      cache('slapos-cfg', ...on('offline'), '--url', 'http://[::1]:5050'),
    );
    expect(stdout.match(/BEGIN CERTIFICATE/g)).toHaveLength(1);
    const archives = join('connected', 'software');
    const { stderr } = await expectEnd(2, cache('import', ...on('offline'), archives));
    expect(stderr).toMatch(
      /\[signature\] private-key-file: there is no .*sign\.key; make it with: cache keygen -c .*offline\/config\.ini; or sign where/,
    );
    expect(await readdir(join(folder, 'offline', 'miscellaneous'))).toEqual([]);
    await expectEnd(0, cache('keygen', ...on('offline')));
    await expectEnd(0, cache('import', ...on('offline'), archives));
    const again = await expectEnd(0, cache('init', '--no-key', ...trust, 'offline'));
    expect(again.stderr).toMatch(/note: kept the existing offline\/miscellaneous\/sign\.key;/);
  });

  it('is for good: the next init makes no key, and trusts whom it names', async () => {
    await init('a', '--common-name', 'A');
    await init('b', '--common-name', 'B');
    const [a, b] = ['a', 'b'].map((name) => join(name, 'miscellaneous', 'sign.crt'));
    await expectEnd(0, cache('init', 'site', '--no-key', '--trust', a ?? ''));
    for (const more of [['--trust', b ?? ''], []]) {
      const { stdout, stderr } = await expectEnd(0, cache('init', 'site', ...more));
      expect(stdout).not.toMatch(/sign\./);
      expect(stderr).toMatch(
        /note: kept the existing site\/config\.ini, which has no signing key; made none\. To sign here: cache keygen -c site\/config\.ini/,
      );
    }
    expect(await readdir(join(folder, 'site', 'miscellaneous'))).toEqual([]);
    const section = await expectEnd(0, cache('slapos-cfg', ...on('site'), '--url', 'http://[::1]:5050'));
    const listed = [...section.stdout.matchAll(/-----BEGIN[^]*?-----END CERTIFICATE-----/g)].map(
      ([pem]) => new X509Certificate(pem.replace(/^ +/gm, '')).subject,
    );
    expect(listed).toEqual(['CN=A', 'CN=B']);
  });

  it.each([
    ['without --trust', [], /--no-key needs --trust/],
    ['with a name for the certificate', ['--trust', 'x', '--common-name', 'x'], /leave out --common-name/],
  ])('is refused %s', async (_what, more, message) => {
    expect((await expectEnd(2, cache('init', 'site', '--no-key', ...more))).stderr).toMatch(message);
    expect(await readdir(folder)).not.toContain('site');
  });
});

describe('cache init --trust', () => {
  it('takes several files, and those that openssl describes', async () => {
    await init('a', '--common-name', 'A');
    await init('b', '--common-name', 'B');
    const [a, b] = [
      join(folder, 'a', 'miscellaneous', 'sign.crt'),
      join(folder, 'b', 'miscellaneous', 'sign.crt'),
    ];
    await writeFile(
      join(folder, 'both.pem'),
      `Certificate:\n  Data:\n${await readFile(a, 'utf8')}\nmore\n${await readFile(b, 'utf8')}`,
    );
    for (const [site, files] of [
      ['one', ['both.pem']],
      ['two', [a, b]],
    ] as const) {
      const { stderr } = await expectEnd(
        0,
        cache('init', ...files.flatMap((file) => ['--trust', file]), site),
      );
      expect(stderr).toMatch(/trusted: "A" [^]*trusted: "B" /);
      await expectEnd(0, cache('list', ...on(site)));
    }
  });

  it('adds to the list of a configuration that is there, of which all else stays byte for byte', async () => {
    await init('a', '--common-name', 'A');
    await init('site');
    const file = join(folder, 'site', 'config.ini');
    const before = await readFile(file, 'utf8');
    const trust = join('a', 'miscellaneous', 'sign.crt');
    const { stdout, stderr } = await expectEnd(0, cache('init', 'site', '--trust', trust));
    expect(stdout).toMatch(/^changed {2}site\/config\.ini$/m);
    expect(stdout).not.toMatch(/^kept {2}site\/config\.ini$/m);
    expect(stderr).toMatch(/trusted: "A"/);
    const after = await readFile(file, 'utf8');
    expect(after.replace(/signature-certificate-list =[^]*?-----END CERTIFICATE-----\n/, '')).toBe(before);
    const again = await expectEnd(0, cache('init', 'site', '--trust', trust));
    expect(again.stdout).not.toMatch(/changed/);
    expect(await readFile(file, 'utf8')).toBe(after);
  });

  it.each([
    ['none.crt', undefined, /none\.crt: no such file/],
    ['text.crt', 'hello', /text\.crt: holds no certificate in PEM/],
    [
      'bad.crt',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
      /bad\.crt: not a PEM certificate/,
    ],
  ])('of %s ends with 2 and makes nothing', async (name, content, message) => {
    if (content !== undefined) await writeFile(join(folder, name), content);
    const { stderr } = await expectEnd(2, cache('init', 'site', '--trust', name));
    expect(stderr).toMatch(message);
    expect(await readdir(folder)).not.toContain('site');
  });
});
