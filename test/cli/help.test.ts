import { readdir, readFile } from 'node:fs/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { EXECUTABLE, initSite, runCache } from './command.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);

const COMMANDS = createProgram().commands.map((command) => command.name());

describe('help', () => {
  it('lists every command with one line, in groups, and the exit codes', async () => {
    const { code, stdout } = await cache('--help');
    expect(code).toBe(0);
    const groups = ['Fill the store:', 'Carry releases:', 'Serve nodes:', 'Look at it:', 'Keep it sound:'];
    const lines = stdout.split('\n');
    expect(lines.filter((line) => [...groups, 'Help:', 'Commands:'].includes(line))).toEqual([
      ...groups,
      'Help:',
    ]);
    const commands = lines.slice(lines.indexOf('Fill the store:')).filter((line) => line.startsWith('  '));
    expect(commands.map((line) => /^ {2}([\w-]+) {2,}\w/.exec(line)?.[1])).toEqual(
      expect.arrayContaining(COMMANDS),
    );
    expect(stdout).toContain('Exit codes: 0 done, 1 ');
    expect(stdout).toMatch(/130 /);
    expect(stdout).toContain('Options of a command, with an example: cache help COMMAND\n');
  });

  it.each(COMMANDS)(
    'of %s has an example, -c and -q, fits 80 columns, and writes nothing',
    async (command) => {
      const { code, stdout, stderr } = await cache(command, '--help');
      expect(stderr).toBe('');
      expect(stdout).toMatch(new RegExp(`\nExample:\\n {2}cache ${command}\\b`));
      for (const option of ['-c, --config', '-q, --quiet']) expect(stdout).toContain(option);
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
      expect(code).toBe(0);
      expect(await readdir(folder)).toEqual([]);
      expect(await cache('help', command)).toEqual({ code, stdout, stderr });
    },
  );

  it('fits 80 columns', async () => {
    const { stdout } = await cache('help');
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect((await cache('--help')).stdout).toBe(stdout);
    expect(await cache()).toEqual({ code: 2, stdout: '', stderr: stdout });
  });
});

describe('the version', () => {
  it('is shown alone by --version, and with Node and the platform by cache version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await cache('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const { stdout, stderr, code } = await cache('version');
    expect({ stderr, code }).toEqual({ stderr: '', code: 0 });
    expect(stdout).toMatch(
      /^shacache {2}\S+\nNode {6}\S+\n(commit {4}\S+\n)?platform {2}\S+.* \S+-linux-\S+\n$/,
    );
    const [, node = ''] = /^Node {6}(.*)$/m.exec(stdout) ?? [];
    if (EXECUTABLE === undefined) expect(node).toBe(process.versions.node);
    expect(stdout).toContain(`shacache  ${version}\nNode      ${node}\n`);
    const [, commit] = /^commit {4}(.*)$/m.exec(stdout) ?? [];
    expect(commit ?? '').toMatch(/^([0-9a-f]{40}(-dirty)?)?$/);
    expect(JSON.parse((await cache('--json', 'version')).stdout)).toEqual({
      version,
      ...(commit === undefined ? {} : { commit }),
      node,
      platform: {
        multiarch: expect.stringMatching(/-linux-/) as string,
        os: [expect.any(String), expect.any(String), expect.any(String)],
      },
    });
  });
});

describe('-c, -q and --json', () => {
  it('count before the command as after it', async () => {
    const missing = {
      code: 2,
      stdout: '',
      stderr: `cache: -c: ${folder}/none.ini not found (is its disk mounted?)\n`,
    };
    for (const args of [
      ['-c', 'none.ini', 'list'],
      ['--config=none.ini', 'list'],
      ['list', '-c', 'none.ini'],
    ])
      expect(await cache(...args)).toEqual(missing);
    await initSite(folder, 'site');
    for (const args of [
      ['-q', '--json', '-c', 'site/config.ini', 'list'],
      ['--json', 'list', '-q', '-c', 'site/config.ini'],
      ['list', '--json', '-qc', 'site/config.ini'],
    ])
      expect(await cache(...args)).toEqual({ code: 0, stdout: '[]\n', stderr: '' });
    expect(await cache('-q', 'list', '-c', 'site/config.ini')).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('count after the command rather than before it', async () => {
    await initSite(folder, 'site');
    const { code, stdout } = await cache('-c', 'none.ini', 'list', '--json', '-c', 'site/config.ini');
    expect({ code, stdout }).toEqual({ code: 0, stdout: '[]\n' });
  });
});

describe('a wrong call is one line that names what is near, or the help', () => {
  it.each([
    [['imporrt', 'x'], "unknown command 'imporrt'; did you mean import?"],
    [['verfy'], "unknown command 'verfy'; did you mean verify?"],
    [['inv'], "unknown command 'inv'; did you mean inventory?"],
    [['slaposcfg'], "unknown command 'slaposcfg'; did you mean slapos-cfg?"],
    [['help', 'exprot'], "unknown command 'exprot'; did you mean export?"],
    // Nothing of these is near.
    [['push'], "unknown command 'push'; see: cache --help"],
    [['unpack'], "unknown command 'unpack'; see: cache --help"],
    [['help', 'ls'], "unknown command 'ls'; see: cache --help"],
    [['import', '--dry-rum', '.'], "import: unknown option '--dry-rum'; did you mean --dry-run?"],
    [['import', '--dry', '.'], "import: unknown option '--dry'; did you mean --dry-run?"],
    [['verify', '--haelfrom=x'], "verify: unknown option '--haelfrom=x'; did you mean --heal-from?"],
    [['import', '--host', 'x', '.'], "import: unknown option '--host'; see: cache import --help"],
    [['list', '-x'], "list: unknown option '-x'; see: cache list --help"],
    [['--frobnicate'], "unknown option '--frobnicate'; see: cache --help"],
    [['--deep', 'verify'], "option '--deep' stands before the command; write it after the command"],
    [['heal'], "unknown command 'heal'; did you mean verify --heal-from?"],
    [['serve', '--port', '8080'], "serve: unknown option '--port'; use --listen HOST:PORT"],
    [
      ['serve', '/mnt/a device'],
      "serve: too many arguments, from '/mnt/a device' on; to import it first: cache serve --import '/mnt/a device'",
    ],
    [
      ['verify', '/mnt/device'],
      "verify: too many arguments, from '/mnt/device' on; it verifies the store; to verify a medium: cache import --dry-run /mnt/device",
    ],
    [
      ['inventory', '/mnt/device'],
      "inventory: too many arguments, from '/mnt/device' on; to write it there: cache inventory > /mnt/device/have.json",
    ],
    [['list', 'more', 'x'], "list: too many arguments, from 'more' on; see: cache list --help"],
    [['import'], "import: missing required argument 'path'; see: cache import --help"],
    [['list', '-c'], "list: option '-c, --config <file>' argument missing; see: cache list --help"],
  ])('%j', async (args, message) => {
    expect(await cache(...args)).toEqual({ code: 2, stdout: '', stderr: `cache: ${message}\n` });
  });

  it('as JSON with --json, of a command without it, too', async () => {
    const { code, stderr } = await cache('--json', 'help');
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'usage', message: "help: unknown option '--json'; see: cache help --help" },
    });
    expect(code).toBe(2);
  });
});
