import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, EXECUTABLE, PROGRAM, initSite, runCache, type CommandResult } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const FILE = 'kvm-1.0.344-ubuntu-22.04.tar.gz';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);

async function makeArchive(file = FILE, url = KVM, payload = 0): Promise<string> {
  const medium = join(folder, 'medium');
  await mkdir(medium, { recursive: true });
  await placeKeyPair(folder);
  const release = await makeSoftwareRelease(join(folder, `root of ${file}`), url, { payload });
  await packRelease(release, join(medium, file));
  return join(medium, file);
}

/** One line of error that a person can read, and this exit code. */
function expectFailure({ code, stdout, stderr }: CommandResult, exitCode: number, message: RegExp): void {
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
  expect(stderr).not.toMatch(/unexpected error/);
  expect(stdout).toBe('');
  expect(code).toBe(exitCode);
}

describe('wrong usage ends with 2', () => {
  it.each([
    [['--frobnicate'], /unknown option '--frobnicate'/],
    [['frobnicate'], /unknown command 'frobnicate'/],
    [['list', '--frobnicate'], /unknown option/],
    [['list', 'more'], /too many arguments/],
    [['import'], /missing required argument 'path'/],
    // What is signed has been read whole.
    [['import', '--quick', '.'], /unknown option '--quick'/],
    [['init'], /name the folder of the site: cache init DIR/],
    [['init', '-c', 'config.ini', 'other'], /DIR and --config name two sites; leave out one of them/],
    [['lookup'], /missing required argument/],
    [['import', 'none.tar.gz'], /none\.tar\.gz: no such file or folder; is the medium mounted\?/],
    [['import', '.', '--os', 'linux'], /not an operating system: "linux"/],
    [
      ['import', '.', '--software-root', 'opt/slapgrid'],
      /--software-root: not an absolute path: "opt\/slapgrid"; write it from the root, such as \/opt\/slapgrid/,
    ],
    [['import', '.', '--url', KVM], /--url names one release, but there are 0 archives/],
    [['slapos-cfg', '--url', 'cache:5050'], /--url: not an HTTP URL: "cache:5050"/],
    [['lookup', KVM, '--server', 'cache:5050'], /--server: not an HTTP URL/],
    [['import', '.', '--os', 'linux'], /^cache: --os: not an operating system/],
    [['lookup', KVM, '--server', 'http://127.0.0.1:9', '--os', 'linux'], /^cache: --os: not an operating/],
    [['lookup', '--server', 'http://127.0.0.1:9', ''], /an empty name; write a software URL or a key/],
    [['check', '--server', 'http://127.0.0.1:9', ''], /an empty name; write a software URL or a key/],
    [['log', '--key', ' '], /--key: an empty name/],
    [
      ['lookup', KVM, '--server', 'http://127.0.0.1:9', '--ca', 'none.crt'],
      /--ca: there is no file none\.crt/,
    ],
    [['serve', '--listen', 'nonsense'], /^cache: --listen: .*nonsense/],
    [['pack', '.', '--os', 'linux'], /^cache: --os: not an operating system/],
    [['pack', '.', '--software-root', 'opt'], /^cache: --software-root: not an absolute path/],
    [['list', '-c', 'none.ini'], /-c: .*none\.ini not found \(is its disk mounted/],
  ])('%j', async (args, message) => {
    expectFailure(await cache(...args), 2, message);
    expect(await readdir(folder)).toEqual([]);
  });

  it.each(['keygen', 'import .', 'serve', `lookup ${KVM}`, 'list', 'slapos-cfg'])(
    '%s with a broken configuration, naming file, line and the right word',
    async (command) => {
      await writeFile(join(folder, 'config.ini'), '[store]\npaht = x\n');
      expectFailure(await cache(...command.split(' ')), 2, /config\.ini:2: .*paht.*path/);
      expect(await readdir(folder)).toEqual(['config.ini']);
    },
  );

  it('a configured key that is not there', async () => {
    const archive = await makeArchive();
    await writeFile(
      join(folder, 'config.ini'),
      '[signature]\nprivate-key-file = no.key\ncertificate-file = no.crt\n',
    );
    expectFailure(
      await cache('import', archive),
      2,
      /there is no .*no\.key; make it with: cache keygen; or /,
    );
  });
});

describe('a file in the place of a folder is wrong usage', () => {
  it.each([
    ['list', /configuration: \[store\] path: .*cache-store is no folder; correct the path/],
    ['verify', /\[store\] path/],
    ['export .', /\[store\] path/],
    ['serve --listen 127.0.0.1:0', /\[store\] path/],
    [`lookup ${KVM}`, /\[store\] path/],
    ['init cache-store', /cache-store\/software would be inside a file; name a folder/],
    ['init cache-store/medium', /would be inside a file/],
    ['sync cache-store to', /FROM: .*cache-store is no folder; name the folder of a store/],
    ['sync cache-store/x to', /FROM: .*cache-store\/x is no folder/],
    ['sync other/store cache-store', /TO: .*cache-store is no folder/],
    ['verify -c other/config.ini --heal-from cache-store', /--heal-from: .*cache-store is no folder/],
    ['verify -c other/config.ini --heal-from empty', /--heal-from: .*empty is neither a store nor a medium/],
  ])('%s', async (command, message) => {
    await writeFile(join(folder, 'cache-store'), 'a file');
    await mkdir(join(folder, 'empty'));
    await initSite(folder, 'other');
    const before = await contentsOf(folder);
    expectFailure(await cache(...command.split(' ')), 2, message);
    expect(await contentsOf(folder)).toEqual(before);
  });
});

describe('the empty mount point of the store', () => {
  let archive: string;

  beforeEach(async () => {
    archive = join(folder, FILE);
    await writeFile(archive, 'cut off');
    await mkdir(join(folder, 'disk'));
    await mkdir(join(folder, 'medium'));
    await writeFile(join(folder, 'config.ini'), '[store]\npath = disk\n');
    await placeKeyPair(folder);
  });

  const nothingIsMade = async (store = 'disk'): Promise<void> => {
    expect(await readdir(join(folder, store))).toEqual([]);
    expectFailure(await cache('serve', '--listen', '127.0.0.1:0'), 3, /is its disk mounted\?/);
  };

  it.each([
    'export medium',
    `export medium ${KVM}`,
    'export -n medium',
    'list',
    'inventory',
    `lookup ${KVM}`,
    'verify',
    'gc',
    `remove ${KVM}`,
    'log',
    'slapos-cfg --force-binary',
  ])('is told of by %s, which makes no store there', async (command) => {
    const result = await cache(...command.split(' '));
    expect(result.stderr).toMatch(
      /disk is not a store: .*is its disk mounted\? To make one: cache init -c .*config\.ini$/m,
    );
    expect(result.code).toBe(3);
    await nothingIsMade();
    expect(await readdir(join(folder, 'medium'))).toEqual([]);
  });

  it('is told of by an import and by a server that imports, which make no store there', async () => {
    for (const args of [
      ['import', archive],
      ['serve', '--listen', '127.0.0.1:0', '--import', archive],
    ])
      expectFailure(
        await cache(...args),
        3,
        /is its disk mounted\? To make one: cache init -c .*config\.ini$/m,
      );
    await nothingIsMade();
  });

  it('is told of by a sync to it, which makes no store there', async () => {
    await initSite(folder, 'stranger');
    expectFailure(
      await cache('sync', join('stranger', 'store'), 'disk'),
      3,
      /is its disk mounted\? To make one: cache init -c .*config\.ini$/m,
    );
    await nothingIsMade();
  });

  it('becomes a store by init, once', async () => {
    expect((await cache('init', '-c', 'config.ini')).stdout).toBe(`made  ${join(folder, 'disk')}\n`);
    expect((await cache('init', '-c', 'config.ini', '--json')).stdout).toBe(
      `${JSON.stringify({ made: [], kept: [join(folder, 'disk')], changed: [] })}\n`,
    );
    expect(await cache('list')).toMatchObject({ code: 0 });
  });
});

describe('a failing store ends with 3', () => {
  it('when it is not there', async () => {
    expectFailure(
      await cache('list'),
      3,
      /there is no store at .*cache-store; is its disk mounted\? To make one: cache import FOLDER$/m,
    );
    expectFailure(await cache('lookup', KVM), 3, /there is no store/);
  });

  it('when it is of a newer format', async () => {
    await placeKeyPair(folder);
    await mkdir(join(folder, 'cache-store'));
    await writeFile(join(folder, 'cache-store', 'store.json'), '{"format": 7}');
    for (const args of [
      ['list'],
      ['lookup', KVM],
      ['serve', '--listen', '127.0.0.1:0'],
      ['slapos-cfg', '--force-binary'],
    ]) {
      expectFailure(await cache(...args), 3, /has format 7/);
    }
  });

  it('when it has no room', async () => {
    const archive = await makeArchive();
    await writeFile(join(folder, 'config.ini'), '[upload]\nmin-free-space = 1024T\n');
    await placeKeyPair(folder);
    await cache('init', '-c', 'config.ini');
    const result = await cache('import', archive);
    expect(result).toMatchObject({ code: 3, stdout: '' });
    expect(result.stderr).toMatch(/no room/);
  });

  it.for([{ args: [] }, { args: ['--json'] }])(
    'when it becomes full in the middle; what was imported, and what did not fit, is told: $args',
    async ({ args }, context) => {
      await mountTmpfs(context, join(folder, 'disk'), 8 << 20);
      await makeArchive();
      await makeArchive('large-ubuntu-22.04.tar.gz', 'https://example.com/software.cfg', 9 << 20);
      await writeFile(
        join(folder, 'config.ini'),
        '[store]\npath = disk/store\n[upload]\nmin-free-space = 1M\n',
      );
      await placeKeyPair(folder);
      await cache('init', '-c', 'config.ini');
      const { code, stdout, stderr } = await cache('import', 'medium', ...args);
      if (args.length === 0) expect(stdout).toMatch(new RegExp(`^${FILE} +imported `, 'm'));
      else expect(JSON.parse(stdout)).toMatchObject([{ file: FILE, status: 'imported' }]);
      const last = stderr.trimEnd().split('\n').at(-1) ?? '';
      const text =
        args.length === 0
          ? last
          : `cache: ${(JSON.parse(last) as { error: { message: string } }).error.message}`;
      expect(text).toMatch(
        /^cache: large-ubuntu-22\.04\.tar\.gz: no room in .*: needs 9\.\d MiB.* and must keep 1\.0 MiB in reserve \(\[upload\] min-free-space\); [78]\.\d MiB is free; free some and try again$/m,
      );
      expect(stderr).toMatch(/^stopped after 1 of 2 archives; run the same command again to continue$/m);
      expect(code).toBe(3);
    },
  );

  it('when its entries are damaged, and no release is left out in silence', async () => {
    await cache('import', await makeArchive());
    await makeArchive('other-ubuntu-22.04.tar.gz', 'https://example.com/software.cfg');
    await cache('import', 'medium');
    const entries = join(folder, 'cache-store', 'bdir', keyOfSoftwareUrl(KVM));
    const [name = ''] = await readdir(entries);
    await chmod(join(entries, name), 0o644);
    await writeFile(join(entries, name), '');
    const { code, stderr } = await cache('lookup', KVM);
    expect(stderr).toMatch(/is damaged/);
    expect(code).toBe(3);
  });
});

describe('import', () => {
  it('makes key and store on first use, and sums up in a table', async () => {
    await makeArchive();
    for (const name of ['sign.key', 'sign.crt']) await rm(join(folder, name));
    const { code, stdout, stderr } = await cache('import', 'medium');
    expect(stdout).toMatch(/^ARCHIVE +RESULT +PLATFORM +SIZE +URL\n/);
    expect(stdout).toMatch(
      new RegExp(`^${FILE} +imported +ubuntu 22\\.04 x86_64-linux-gnu +[0-9.]+ KiB +${KVM}$`, 'm'),
    );
    expect(stderr).toMatch(/made a signing key: .*\n1 imported\n$/);
    expect(code).toBe(0);
    const again = await cache('import', 'medium');
    expect(again.stderr).toBe(`using ./cache-store: no config.ini found in ${folder}\n1 unchanged\n`);
    expect(again.code).toBe(0);
  });

  it('ends with 1 when an archive is refused, names file and reason, and imports the rest', async () => {
    await makeArchive();
    await writeFile(join(folder, 'medium', 'broken.tar.gz'), 'x'.repeat(1000));
    const { code, stdout, stderr } = await cache('import', 'medium');
    expect(stdout).toMatch(/^broken\.tar\.gz +REFUSED$/m);
    expect(stdout).toMatch(new RegExp(`^${FILE} +imported`, 'm'));
    expect(stderr).toMatch(/^cache: broken\.tar\.gz: ./m);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stderr).toMatch(/1 imported, 1 refused\n$/);
    expect(code).toBe(1);
  });

  it('ends with 1 when there is nothing to import', async () => {
    const { code, stderr } = await cache('import', '.');
    expect(stderr).toMatch(/^cache: no archives in \.$/m);
    expect(code).toBe(1);
  });

  it('writes nothing in a dry run', async () => {
    const archive = await makeArchive();
    const before = await contentsOf(folder);
    const { code, stdout } = await cache('import', '--dry-run', archive);
    expect(stdout).toMatch(/checked/);
    expect(code).toBe(0);
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('says nothing but results and errors with -q', async () => {
    await makeArchive();
    const { stdout, stderr } = await cache('import', '-q', 'medium');
    expect(stdout).toMatch(/imported/);
    expect(stderr).toBe('');
  });

  it('prints JSON that tells all with --json', async () => {
    await makeArchive();
    await writeFile(join(folder, 'medium', 'broken.tar.gz'), '');
    const { code, stdout } = await cache('import', '--json', 'medium');
    expect(JSON.parse(stdout)).toEqual([
      { file: 'broken.tar.gz', status: 'refused', reason: expect.stringMatching(/empty/) as string },
      expect.objectContaining({
        file: FILE,
        status: 'imported',
        url: KVM,
        key: keyOfSoftwareUrl(KVM),
      }),
    ]);
    expect(code).toBe(1);
  });
});

describe('lookup', () => {
  it('shows a row for each entry, the sha512 and what fits', async () => {
    await cache('import', '-q', await makeArchive());
    const fitting = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];
    const { code, stdout } = await cache('lookup', ...fitting, KVM);
    expect(stdout).toMatch(
      /^ubuntu 22\.04 x86_64-linux-gnu +yes +yes +[0-9.]+ KiB +\d{4}-\d\d-\d\d \d\d:\d\d UTC {2}[0-9a-f]{128}$/m,
    );
    expect(stdout).toMatch(/^PLATFORM +FITS\? +VALID\? +SIZE +DATE +SHA512$/m);
    expect(code).toBe(0);
    const other = await cache('lookup', '--os', 'debian-12', '--multiarch', 'x86_64-linux-gnu', KVM);
    expect(other.stdout).toMatch(/^ubuntu 22\.04 x86_64-linux-gnu +no +yes /m);
    const json = await cache('lookup', '--json', ...fitting, keyOfSoftwareUrl(KVM));
    expect(JSON.parse(json.stdout)).toMatchObject({
      key: keyOfSoftwareUrl(KVM),
      platform: { os: ['ubuntu', '22.04', 'jammy'] },
      entries: [{ compatible: true, verified: true }],
      suggestions: [],
    });
  });

  it('that finds nothing ends with 1 and suggests the nearest URL', async () => {
    await cache('import', '-q', await makeArchive());
    const wrong = KVM.replace('1.0.344', '1.0.343');
    expectFailure(await cache('lookup', wrong), 1, new RegExp(`did you mean ${KVM} \\?`));
    const json = await cache('lookup', '--json', wrong);
    expect(JSON.parse(json.stdout)).toMatchObject({ entries: [], suggestions: [KVM] });
    expect(json.code).toBe(1);
  });

  it('warns of a URL that nodes never ask a cache for', async () => {
    await cache('import', '-q', await makeArchive());
    const { stderr } = await cache(
      'lookup',
      'https://lab.nexedi.com/nexedi/slapos/raw/master/software/kvm/software.cfg',
    );
    expect(stderr).toMatch(/nodes never ask a cache for this URL: .*raw\/master/);
  });

  it('of a server that knows nothing suggests what the configuration knows', async () => {
    const server = createServer((_request, response) => response.writeHead(404).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    await writeFile(join(folder, 'config.ini'), `[software]\nkvm = ${KVM}\n`);
    const wrong = KVM.replace('1.0.344', '1.0.345');
    const { code, stderr } = await cache('lookup', wrong, '--server', `http://127.0.0.1:${port}`);
    expect(stderr).toContain(`did you mean ${KVM} ?`);
    expect(code).toBe(1);
  });

  it('says that --ca is of no use where nothing is asked over HTTPS', async () => {
    await cache('import', '-q', await makeArchive());
    const { code, stderr } = await cache('lookup', KVM, '--ca', 'sign.crt');
    expect(stderr).toMatch(/^note: --ca is not used: nothing is asked over https:\/\/$/m);
    expect(code).toBe(0);
  });

  it('of a server that is not there says so and ends with 3', async () => {
    // Port 9 of this machine: nobody listens there.
    expectFailure(
      await cache('lookup', KVM, '--server', 'http://127.0.0.1:9'),
      3,
      /127\.0\.0\.1:9.*ECONNREFUSED/,
    );
  });
});

describe('check', () => {
  it('says what to do for another system than that of this machine, for what is missing, and from elsewhere', async () => {
    await initSite(folder, 'a site');
    const archive = await makeArchive('kvm-1.0.344-opensuse-15.5.tar.gz');
    await cache('import', '-q', '-c', 'a site/config.ini', archive);
    const here = (...args: readonly string[]) => runCache(join(folder, 'a site'), 'check', ...args);
    const { stdout, code } = await here(KVM);
    expect(stdout).toContain(
      `${KVM}
  there is no build for `,
    );
    expect(stdout).toMatch(
      /, only for opensuse 15\.5 \S+\n {2}-> if the nodes have another system, add --os ID-VERSION\n {2}-> build it on such a machine, run cache pack FOLDER there, bring the archive, then cache import ARCHIVE$/m,
    );
    expect(code).toBe(1);
    expect((await here('--os', 'ubuntu-22.04', KVM)).stdout).not.toContain('another system');
    const missing = await cache('check', '-c', 'a site/config.ini', 'pypi:none=1');
    expect(missing.stdout).toContain(
      `  -> bring its archive or medium, then cache import -c '${join(folder, 'a site/config.ini')}' FOLDER\n`,
    );
  });

  it('of a server that is not there does not call the releases uninstallable, and ends with 3', async () => {
    const { code, stdout } = await cache('check', KVM, '--server', 'http://127.0.0.1:9');
    expect(stdout).toMatch(new RegExp(`^unknown +${KVM}\\n`, 'm'));
    expect(stdout).toMatch(/^ {2}http:\/\/127\.0\.0\.1:9.*ECONNREFUSED/m);
    expect(stdout).not.toMatch(/^NO\b/m);
    expect(code).toBe(3);
  });
});

describe('list', () => {
  it('shows releases with URL, platform, size and date', async () => {
    await cache('import', '-q', await makeArchive());
    const { code, stdout } = await cache('list');
    expect(stdout).toMatch(
      new RegExp(
        `^ubuntu 22\\.04 x86_64-linux-gnu +[0-9.]+ KiB +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d UTC +${KVM}$`,
        'm',
      ),
    );
    expect(code).toBe(0);
    const json = await cache('list', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject([
      { url: KVM, builds: [{ platform: { multiarch: 'x86_64-linux-gnu' } }] },
    ]);
  });

  it('whose reader goes away ends without an error', async () => {
    await cache('import', '-q', await makeArchive());
    const script = `set -o pipefail; "$@" list -q --json | true; echo "status \${PIPESTATUS[0]}"; "$@" --help | head -1`;
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script, 'bash', ...PROGRAM], {
      cwd: folder,
      env: ENVIRONMENT,
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^status 0\nUsage: cache/);
  });
});

describe('slapos-cfg', () => {
  const SCRIPT = `
import configparser, json, sys
parser = configparser.RawConfigParser()
parser.read(sys.argv[1])
print(json.dumps(dict(parser['networkcache'])))
`;

  it('is appended to a slapos.cfg that Python then reads', async () => {
    await cache('import', '-q', await makeArchive());
    const args = ['slapos-cfg', '--force-binary', '--url', 'http://192.168.32.10:5050/'];
    const { code, stdout, stderr } = await cache(...args);
    expect(code).toBe(0);
    expect(stderr).toBe(
      'cache: slapos.cfg may contain only one [networkcache] section; to replace it: cache slapos-cfg --into FILE\n',
    );
    const file = join(folder, 'slapos.cfg');
    await writeFile(file, `[slapos]\nsoftware_root = /opt/slapgrid${stdout}`);
    const section = JSON.parse(execFileSync('python3', ['-c', SCRIPT, file], { encoding: 'utf8' })) as Record<
      string,
      string
    >;
    const certificate = await readFile(join(folder, 'sign.crt'), 'utf8').catch(() => undefined);
    if (certificate !== undefined)
      expect(section['signature-certificate-list']?.trim()).toBe(certificate.trim());
    expect(section).toMatchObject({
      'download-binary-cache-url': 'http://192.168.32.10:5050/bcache',
      'download-binary-dir-url': 'http://192.168.32.10:5050/bdir',
      'download-from-binary-cache-force-url-list': `\n${KVM}`,
      'signature-certificate-list': expect.stringMatching(/^\n-----BEGIN CERTIFICATE-----\n/) as string,
    });
  });

  it('without a certificate prints nothing that could be appended, and says what to do', async () => {
    expectFailure(
      await cache('slapos-cfg', '--url', 'http://cache:5050'),
      2,
      /no certificate that nodes could trust.*sign\.crt.*-c FILE.*cache keygen/s,
    );
  });

  it.each(['bdir', 'bcache/'])('refuses a URL that ends with /%s', async (service) => {
    await placeKeyPair(folder);
    expectFailure(
      await cache('slapos-cfg', '--url', `http://h:5050/${service}`),
      2,
      /--url: omit \/b\w+, which is added automatically; write http:\/\/h:5050$/m,
    );
  });
});

describe('init and keygen', () => {
  it('make a medium that import, list and lookup work with from anywhere', async () => {
    const init = await cache('init', 'medium', '--common-name', 'Site A');
    expect(init.code).toBe(0);
    expect(init.stdout).toMatch(/^made {2}medium\/miscellaneous\/sign\.key$/m);
    expect((await stat(join(folder, 'medium/miscellaneous/sign.key'))).mode & 0o777).toBe(0o600);
    const archive = await makeArchive();
    const config = join(folder, 'medium', 'config.ini');
    expect((await runCache('/', 'import', '-c', config, archive)).code).toBe(0);
    expect((await runCache('/', 'list', '-c', config)).stdout).toContain(KVM);
    expect(await readdir(join(folder, 'medium', 'store', 'bcache'))).toHaveLength(1);
    const again = await cache('init', 'medium');
    expect(again.stdout).not.toContain('made');
    expect(again.code).toBe(0);
  });

  it('print JSON with --json', async () => {
    const init = JSON.parse((await cache('init', '--json', 'medium')).stdout) as {
      made: string[];
      kept: string[];
    };
    expect([init.made.length, init.kept.length]).toEqual([EXECUTABLE === undefined ? 7 : 9, 0]);
    const keygen = await cache('keygen', '--json', '-c', 'medium/config.ini');
    expect(JSON.parse(keygen.stdout)).toMatchObject({ status: 'kept' });
  });

  it('refuse half a key pair with 2', async () => {
    await cache('init', '-q', 'medium');
    await rm(join(folder, 'medium/miscellaneous/sign.crt'));
    expectFailure(
      await cache('init', 'medium'),
      2,
      /sign\.key exists, but its pair .*sign\.crt does not; restore it/,
    );
    expectFailure(await cache('keygen', '-c', 'medium/config.ini'), 2, /does not; restore it/);
  });
});

describe('init', () => {
  it('makes a store that can be listed at once', async () => {
    await cache('init', 'medium');
    const { code, stderr } = await cache('list', '-c', 'medium/config.ini');
    expect(stderr).toContain('the store has no software release');
    expect(code).toBe(0);
  });

  it.each([
    [['init', ''], /the folder of the medium has no name/],
    [['keygen', '--common-name', ''], /the common name is empty/],
  ])('refuses %j', async (command, message) => {
    expectFailure(await cache(...command), 2, message);
    expect(await readdir(folder)).toEqual([]);
  });
});

it('an import whose reader goes away is finished all the same', async () => {
  await makeArchive();
  const pipeline = `'${PROGRAM.join("' '")}' import medium 2>&1 | true; exit "\${PIPESTATUS[0]}"`;
  await promisify(execFile)('bash', ['-c', pipeline], { cwd: folder, env: ENVIRONMENT });
  const { stdout } = await cache('list');
  expect(stdout).toContain(KVM);
});

it('a section for slapos.cfg begins on a line of its own', async () => {
  await placeKeyPair(folder);
  const { stdout } = await cache('slapos-cfg', '--url', 'http://192.0.2.7:5050/');
  expect(stdout).toMatch(
    /^\n\[networkcache\]\ndownload-binary-cache-url = http:\/\/192\.0\.2\.7:5050\/bcache\n/,
  );
});

describe('a medium with a key of its own', () => {
  it('is hinted at when another configuration is used, and not when its own is', async () => {
    await initSite(folder, 'medium');
    await makeArchive();
    const other = await cache('import', join('medium', 'software'));
    const config = join(folder, 'medium', 'config.ini');
    expect(other.stderr).toContain(`the medium's own ${config} is not used`);
    const whole = await cache('import', 'medium');
    expect([whole.code, whole.stdout]).toEqual([1, '']);
    expect(whole.stderr).toContain(`It has its own configuration; to use that: -c ${config}`);
    const own = await cache('import', '-c', 'medium/config.ini', join('medium', FILE));
    expect(own).toMatchObject({ code: 0 });
    expect(own.stderr).not.toContain('is not used');
  });

  it('is hinted at when it has no configuration', async () => {
    const archive = await makeArchive();
    await mkdir(join(folder, 'medium', 'miscellaneous'));
    await writeFile(join(folder, 'medium', 'miscellaneous', 'sign.key'), 'key');
    const { stderr } = await cache('import', archive);
    expect(stderr).toContain(`cache init ${join(folder, 'medium')}`);
  });
});
