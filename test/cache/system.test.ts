import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, type TestContext } from 'vitest';
import type { OsRelease } from '../../src/cache/system.ts';
import { parseSystem } from '../../src/cache/system.ts';
import { readMachine, readSystemFiles } from '../../src/operations/this-machine.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** The os-release files of real systems, as far as they tell which one it is: `# NAME`, then the lines, then an empty line. */
const TABLE = join(import.meta.dirname, '../fixtures/os-release.txt');
/** Debian's own Python has python3-distro, where it is installed; another Python in the path may not. */
const PYTHON = '/usr/bin/python3';

const JUDGE_TABLE = `
import distro, json, os, sys, tempfile
result = {}
for block in open(sys.argv[1], encoding='utf-8').read().split('\\n\\n'):
    name, _, text = block.partition('\\n')
    with tempfile.TemporaryDirectory() as root:
        os.mkdir(root + '/etc')
        with open(root + '/etc/os-release', 'w', encoding='utf-8') as file:
            file.write(text + '\\n')
        system = distro.LinuxDistribution(root_dir=root)
        result[name[2:]] = [system.id(), system.version(), system.codename()]
print(json.dumps(result))
`;

const JUDGE_MACHINE = `
import distro, json
print(json.dumps([distro.id(), distro.version(), distro.codename()]))
`;

function needDistro(context: TestContext): void {
  try {
    execFileSync(PYTHON, ['-c', 'import distro'], { stdio: 'ignore' });
  } catch {
    context.skip('this machine has no python3-distro');
  }
}

async function runJudge(script: string, args: readonly string[], env = {}): Promise<unknown> {
  const { stdout } = await promisify(execFile)(PYTHON, ['-c', script, ...args], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout);
}

describe('a system is what python3-distro says', () => {
  it('of every real os-release file of the table', async (context) => {
    needDistro(context);
    const blocks = (await readFile(TABLE, 'utf8')).split('\n\n');
    const ours = blocks.map((block) => {
      const [name = '', ...lines] = block.split('\n');
      return [name.slice(2), parseSystem({ osRelease: `${lines.join('\n')}\n` })] as const;
    });
    expect(ours.length).toBeGreaterThan(290);
    expect(Object.fromEntries(ours)).toEqual(await runJudge(JUDGE_TABLE, [TABLE]));
  });

  it('of this machine', async (context) => {
    needDistro(context);
    expect((await readMachine()).os).toEqual(await runJudge(JUDGE_MACHINE, []));
  });

  const DEBIAN_TESTING = 'PRETTY_NAME="Debian GNU/Linux bookworm/sid"\nNAME="Debian GNU/Linux"\nID=debian\n';

  it.each<[string, Readonly<Record<string, string>>, string | undefined, OsRelease]>([
    [
      'Debian testing, by debian_version',
      { 'os-release': DEBIAN_TESTING, debian_version: 'bookworm/sid\n' },
      undefined,
      ['debian', 'bookworm/sid', ''],
    ],
    [
      'Debian testing with lsb_release',
      { 'os-release': DEBIAN_TESTING, debian_version: 'bookworm/sid\n' },
      'Distributor ID:\tDebian\nDescription:\tDebian GNU/Linux bookworm/sid\nRelease:\tn/a\nCodename:\tbookworm\n',
      ['debian', 'n/a', 'bookworm'],
    ],
    [
      'CentOS 6, which has no os-release',
      {
        'centos-release': 'CentOS release 6.10 (Final)\n',
        'redhat-release': 'CentOS release 6.10 (Final)\n',
      },
      undefined,
      ['centos', '6.10', 'Final'],
    ],
    [
      'RHEL 6 by its release file',
      {
        'redhat-release': 'Red Hat Enterprise Linux Server release 6.5 (Santiago)\n',
        'system-release': 'x 1 (y)\n',
      },
      undefined,
      ['rhel', '6.5', 'Santiago'],
    ],
    [
      'a system of which lsb_release alone tells',
      {},
      'LSB Version:\t:core-4.1\nDistributor ID:\tRedHatEnterpriseServer\nRelease:\t7.9\nCodename:\tMaipo\n',
      ['rhel', '7.9', 'Maipo'],
    ],
    [
      'Arch Linux, whose file is empty',
      { 'os-release': 'ID=arch\nNAME="Arch Linux"\n', 'arch-release': '' },
      undefined,
      ['arch', '', ''],
    ],
    [
      'shell quotes, escapes and comments',
      { 'os-release': `# a "comment\nID='rocky' # x\nVERSION_ID=\\9"."3\nVERSION="9.3 (Blue \\"Onyx\\")"\n` },
      undefined,
      ['rocky', '9.3', 'Blue "Onyx"'],
    ],
    [
      'SLES by its release file',
      { 'SuSE-release': 'SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\n' },
      undefined,
      ['suse', '11', 'x86_64'],
    ],
    [
      'a name with several parentheses',
      { 'x-release': 'Linux (for all) 1.2-rc3 (b) c\n' },
      undefined,
      ['x', '1.2-rc3', 'b'],
    ],
    [
      'a version with a letter before it',
      { 'alpine-release': 'Alpine Linux v3.19 LTS\n' },
      undefined,
      ['alpine', '3.19', ''],
    ],
  ])('of %s', async (_what, files, lsbRelease, expected) => {
    const etc = join(await temporaryFolder(), 'etc');
    await mkdir(etc);
    for (const [name, text] of Object.entries(files)) await writeFile(join(etc, name), text);
    // The machine's own lsb_release must not count: it is asked for through the path.
    expect(parseSystem({ ...(await readSystemFiles(etc)), lsbRelease })).toEqual(expected);
  });

  it('of a machine whose files are elsewhere, lsb_release included', async (context) => {
    needDistro(context);
    const folder = await temporaryFolder();
    const [etc, bin] = [join(folder, 'etc'), join(folder, 'bin')];
    await mkdir(etc);
    await mkdir(bin);
    await writeFile(join(etc, 'os-release'), DEBIAN_TESTING);
    await writeFile(join(etc, 'debian_version'), 'bookworm/sid\n');
    const lsbRelease = 'Distributor ID:\tDebian\nRelease:\ttesting\nCodename:\tbookworm\n';
    await writeFile(join(bin, 'lsb_release'), `#!/bin/sh\nprintf '${lsbRelease}'\n`);
    await chmod(join(bin, 'lsb_release'), 0o755);
    const judged = await runJudge(JUDGE_MACHINE, [], {
      ...{ UNIXCONFDIR: etc, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
    });
    expect(parseSystem({ ...(await readSystemFiles(etc)), lsbRelease })).toEqual(judged);
    expect(judged).toEqual(['debian', 'testing', 'bookworm']);
  });
});

describe('the machine', () => {
  it('is what gcc says, where there is one', async () => {
    let told: string | undefined;
    try {
      told = execFileSync('gcc', ['-dumpmachine'], { encoding: 'utf8' }).trim();
    } catch {
      told = undefined;
    }
    const { multiarch, hasGcc } = await readMachine();
    expect(hasGcc).toBe(told !== undefined);
    if (told !== undefined) expect(multiarch).toBe(told);
  });
});

it('a megabyte of hostile text takes no time', () => {
  const long = 10 ** 6;
  for (const text of ['"', '\\', "'", '=', '#', 'a=', 'VERSION=(', 'VERSION=,', ' ', '\n', 'ID="\\'])
    parseSystem({ osRelease: text.repeat(long / text.length) });
  for (const line of ['(', ')', '(1', 'a ', '1', '1.', ' LTS'])
    parseSystem({ releaseFile: { name: 'x-release', line: line.repeat(long / line.length) } });
  for (const text of [':', 'a:\n', ' ']) parseSystem({ lsbRelease: text.repeat(long / text.length) });
});
