import { execFileSync } from 'node:child_process';
import { chmod, chown, lstat, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { mountTmpfs } from '../fixtures/mounts.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { slaposCfg } from '../fixtures/slapos-cfg.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache, type CommandResult } from './command.ts';

const URL = 'http://192.168.32.10:5050';

let folder: string;
let file: string;
let before: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  file = join(folder, 'slapos.cfg');
  before = await slaposCfg();
  await writeFile(file, before);
  await placeKeyPair(folder);
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);
const into = (...args: readonly string[]): Promise<CommandResult> =>
  cache('slapos-cfg', '--url', URL, '--into', file, ...args);

type Sections = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** As slapos.core reads its configuration. */
function pythonReads(path = file): Sections {
  const script = `
import configparser, json, sys
parser = configparser.ConfigParser()
assert parser.read(sys.argv[1]) == [sys.argv[1]]
print(json.dumps({name: dict(parser.items(name)) for name in parser.sections()}))
`;
  return JSON.parse(
    execFileSync('python3', ['-c', script, path], { encoding: 'utf8', stdio: 'pipe' }),
  ) as Sections;
}

const backups = async (): Promise<readonly string[]> =>
  (await readdir(folder)).filter((name) => name.startsWith('slapos.cfg.')).sort();

describe('slapos-cfg --into', () => {
  it('sets the values in place, for Python, and keeps the file before', async () => {
    const was = pythonReads();
    const { code, stdout, stderr } = await into();
    expect(stderr).toBe(
      `cache: replaced the [networkcache] section of ${file}; previous file: ${file}.bak. The next "slapos node software" reads it\n`,
    );
    expect([code, stdout]).toEqual([0, '']);
    const { networkcache, ...others } = pythonReads();
    const { networkcache: wasNetworkcache, ...wereOthers } = was;
    expect(others).toEqual(wereOthers);
    expect(networkcache).toEqual({
      ...wasNetworkcache,
      'download-binary-cache-url': `${URL}/bcache`,
      'download-binary-dir-url': `${URL}/bdir`,
      'download-cache-url': `${URL}/bcache`,
      'download-dir-url': `${URL}/bdir`,
      'signature-certificate-list': `\n${(await readFile(join(folder, 'sign.crt'), 'utf8')).trim()}`,
    });
    const comments = (text: string): readonly string[] =>
      text.split('\n').filter((line) => line.startsWith('#'));
    const after = await readFile(file, 'utf8');
    expect(comments(after)).toEqual(comments(before));
    const [head, tail] = [
      before.slice(0, before.indexOf('[networkcache]')),
      before.slice(before.indexOf('[collect]')),
    ];
    expect([after.startsWith(head), after.endsWith(tail)]).toEqual([true, true]);
    expect(await readFile(`${file}.bak`, 'utf8')).toBe(before);
  });

  it('changes nothing the second time', async () => {
    await into();
    const { mtimeMs, ino } = await stat(file);
    const { code, stdout, stderr } = await into();
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toBe(`cache: ${file} has this section already; nothing to change\n`);
    expect(await stat(file)).toMatchObject({ mtimeMs, ino });
    expect(await backups()).toEqual(['slapos.cfg.bak']);
  });

  it('never overwrites a copy', async () => {
    await into();
    await cache('slapos-cfg', '--url', 'http://other:5050', '--into', file);
    expect(await backups()).toEqual(['slapos.cfg.bak', 'slapos.cfg.bak.2']);
    expect(await readFile(`${file}.bak`, 'utf8')).toBe(before);
  });

  it('keeps mode and owner, of the copy too, and follows a link', async () => {
    await chmod(file, 0o640);
    if (process.getuid?.() === 0) await chown(file, 1234, 1235);
    const { uid, gid, mode } = await stat(file);
    const link = join(await temporaryFolder(), 'slapos.cfg');
    await symlink(file, link);
    expect((await cache('slapos-cfg', '--url', URL, '--into', link)).code).toBe(0);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    for (const path of [file, `${file}.bak`]) expect(await stat(path)).toMatchObject({ uid, gid, mode });
    expect(pythonReads()['networkcache']?.['download-dir-url']).toBe(`${URL}/bdir`);
  });

  it('shows the changes with --dry-run as a diff, without passwords, and writes nothing', async () => {
    await writeFile(
      file,
      before.replace(
        'download-binary-cache-url',
        'upload-dir-url = http://me:secret@h/bdir\ndownload-binary-cache-url',
      ),
    );
    const { code, stdout, stderr } = await into('--dry-run');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`--- ${file}\n+++ ${file}\n@@ -`);
    expect(stdout).toContain('\n-download-binary-cache-url = http://shacache.example.com\n');
    expect(stdout).toContain(`\n+download-binary-cache-url = ${URL}/bcache\n`);
    expect(stdout).toContain('\n upload-dir-url = http://…@h/bdir\n');
    expect(await readdir(folder)).not.toContain('slapos.cfg.bak');
    expect(await readFile(file, 'utf8')).toContain('secret');
  });

  it('mends a file in which a section was appended', async () => {
    const { stdout } = await cache('slapos-cfg', '--url', 'http://older:5050');
    await writeFile(file, before + stdout);
    expect(() => pythonReads()).toThrow(/DuplicateSectionError/);
    const { code, stderr } = await into();
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /slapos\.cfg:\d+: section \[networkcache\] is repeated, which stops slapos; its keys are merged/,
    );
    expect(pythonReads()['networkcache']).toMatchObject({
      'download-binary-dir-url': `${URL}/bdir`,
      'upload-to-binary-cache-url-blacklist': expect.stringContaining('/master') as string,
    });
  });

  it.each([
    ['[slapos]\na = 1\n[slapos]\n', /slapos\.cfg:3: section \[slapos\] is repeated/],
    ['[slapos]\na = %20\n', /slapos\.cfg:2: a: has a single "%"/],
    ['a = 1\n', /slapos\.cfg:1: .*before the first section/],
    [
      '[networkcache]\nx-file = a\n[networkcache]\nx-file = b\n',
      /slapos\.cfg:4: key "x-file" is repeated .* another value, first in line 2/,
    ],
  ])('refuses %j and writes nothing', async (text, message) => {
    await writeFile(file, text);
    const { code, stderr } = await into();
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await readFile(file, 'utf8')).toBe(text);
    expect(await backups()).toEqual([]);
  });

  it('refuses a missing file, and bytes that are not UTF-8', async () => {
    expect(await cache('slapos-cfg', '--url', URL, '--into', 'none.cfg')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/none\.cfg: not found; correct the path/) as string,
    });
    await writeFile(file, Buffer.from([0x23, 0xff, 0x0a]));
    expect(await into()).toMatchObject({ code: 2, stderr: expect.stringContaining('not UTF-8') as string });
  });

  it('leaves the file as it is on a full disk, and nothing half-written beside it', async (context) => {
    const disk = join(folder, 'disk');
    await mountTmpfs(context, disk, 64 << 10);
    // One copy finds room, the new file doesn't.
    const text = `${before}# ${'x'.repeat(24_000 - before.length)}\n`;
    await writeFile(join(disk, 'slapos.cfg'), text);
    await writeFile(join(disk, 'filler'), Buffer.alloc(12_000));
    const { code, stderr } = await cache('slapos-cfg', '--url', URL, '--into', 'disk/slapos.cfg');
    expect(stderr).toMatch(/slapos\.cfg: no room is left on the disk/);
    expect(code).toBe(3);
    expect(await readFile(join(disk, 'slapos.cfg'), 'utf8')).toBe(text);
    expect((await readdir(disk)).sort()).toEqual(['filler', 'slapos.cfg', 'slapos.cfg.bak']);
    expect(await readFile(join(disk, 'slapos.cfg.bak'), 'utf8')).toBe(text);
  });

  it('keeps a URL with a percent sign whole', async () => {
    const url = 'https://example.com/a%20b/software.cfg';
    const release = await makeSoftwareRelease(join(folder, 'root'), url, { payload: 0 });
    await packRelease(release, join(folder, 'kvm-1.0.0-ubuntu-22.04.tar.gz'));
    expect((await cache('import', '-q', 'kvm-1.0.0-ubuntu-22.04.tar.gz')).code).toBe(0);
    expect((await into('--force-binary')).code).toBe(0);
    expect(pythonReads()['networkcache']?.['download-from-binary-cache-force-url-list']).toBe(`\n${url}`);
  });

  it('takes the section that another machine printed, without a site', async () => {
    const { stdout } = await cache('slapos-cfg', '--url', URL);
    const node = await temporaryFolder();
    await writeFile(join(node, 'networkcache.cfg'), stdout);
    await writeFile(join(node, 'slapos.cfg'), before);
    const { code } = await runCache(node, 'slapos-cfg', '--from', 'networkcache.cfg', '--into', 'slapos.cfg');
    expect(code).toBe(0);
    await into();
    expect(await readFile(join(node, 'slapos.cfg'), 'utf8')).toBe(await readFile(file, 'utf8'));
    expect((await readdir(node)).sort()).toEqual(['networkcache.cfg', 'slapos.cfg', 'slapos.cfg.bak']);
    expect(await runCache(node, 'slapos-cfg', '--from', 'networkcache.cfg')).toMatchObject({
      code: 0,
      stdout,
    });
  });

  it.each([
    [['--print', '--into', 'x'], /--into and --print exclude each other/],
    [['--dry-run'], /--dry-run needs --into FILE/],
    [['--from', 'x', '--url', URL], /--from and --url exclude each other/],
    [['--from', 'none.cfg'], /none\.cfg: not found; correct the path/],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await cache('slapos-cfg', ...args);
    expect(stderr).toMatch(message);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('refuses --from without a certificate', async () => {
    await writeFile(
      join(folder, 'n.cfg'),
      '[networkcache]\ndownload-binary-cache-url = x\ndownload-binary-dir-url = y\n',
    );
    expect(await cache('slapos-cfg', '--from', 'n.cfg')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/n\.cfg: no signature-certificate-list in \[networkcache\]/) as string,
    });
  });
});

describe('slapos-cfg of a site that serves TLS', () => {
  async function configure(text: string): Promise<void> {
    await writeFile(
      join(folder, 'config.ini'),
      `[signature]\nprivate-key-file = sign.key\ncertificate-file = sign.crt\n${text}`,
    );
  }

  it('gives nodes the plain URL where both are served', async () => {
    await configure('[server]\ntls = auto\nlisten = https://[::]:5443 http://[::]:5050\n');
    const { code, stdout, stderr } = await cache('slapos-cfg', '--print');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^download-binary-cache-url = http:\/\/.*:5050\/bcache$/m);
    expect(stdout).not.toMatch(/-file|https:/);
    expect(stderr).not.toContain('SSL_CERT_FILE');
  });

  it('says what HTTPS URLs need on nodes, which ignore shacache-ca-file', async () => {
    await configure('[server]\ntls = auto\nlisten = https://[::]:5443\n');
    const { stdout, stderr } = await cache('slapos-cfg');
    expect(stdout).toMatch(/^download-binary-cache-url = https:\/\/.*:5443\/bcache$/m);
    expect(stdout).not.toContain('ca-file');
    expect(stderr).toContain('ignore shacache-ca-file');
    expect(stderr).toContain(`Copy ${join(folder, 'server.crt')} to each node and set SSL_CERT_FILE`);
  });

  it('adds the files for uploads with --upload, and keeps those that a node has', async () => {
    await writeFile(join(folder, 'ca.crt'), await readFile(join(folder, 'sign.crt')));
    await configure(
      '[server]\ntls = auto\nlisten = https://[::]:5443 http://[::]:5050\n[access]\nclient-ca-file = ca.crt\nupload-users = builder\n',
    );
    await writeFile(
      file,
      before.replace('[networkcache]\n', '[networkcache]\nshadir-key-file = /root/my.key\n'),
    );
    const { code, stderr } = await into('--upload', 'https://192.168.32.10:5443');
    expect(stderr).toMatch(/each node needs these files first, or slapos stops there: .*signature\.key/);
    expect(code).toBe(0);
    expect(pythonReads()['networkcache']).toMatchObject({
      'download-binary-cache-url': `${URL}/bcache`,
      'upload-binary-cache-url': 'https://192.168.32.10:5443/bcache',
      'upload-binary-dir-url': 'https://192.168.32.10:5443/bdir',
      'shacache-ca-file': join(folder, 'server.crt'),
      'shadir-ca-file': join(folder, 'server.crt'),
      'shacache-cert-file': '/etc/opt/slapos/shacache/shacache.cert',
      'shadir-key-file': '/root/my.key',
    });
  });
});
