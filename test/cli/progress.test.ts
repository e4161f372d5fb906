import { execFile } from 'node:child_process';
import { mkdir, open, readFile, rename, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createLogWriter } from '../../src/server/log-writer.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { signRelease } from '../operations/test-store.ts';
import { ENVIRONMENT, PROGRAM, runCache } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

/** What a terminal would act on, or show elsewhere than it stands. */
const FOREIGN = /[^\P{Cc}\n\t]|[\u2028\u2029\u202A-\u202E\u2066-\u2069]/u;

/** Runs a command on a terminal and prints all that came to it. */
const onTerminal = (columns: number): string => `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, ${columns}, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
output = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    output += piece
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(output)
sys.exit(os.waitstatus_to_exitcode(status))
`;
const ON_TERMINAL = onTerminal(120);

async function makeMedium(folder: string): Promise<string> {
  const medium = join(folder, 'medium');
  await mkdir(medium);
  const release = await makeSoftwareRelease(join(folder, 'root'), KVM, { payload: 20_000_000 });
  await packRelease(release, join(medium, 'kvm-ubuntu-22.04.tar.gz'));
  return medium;
}

describe('the progress of an import', () => {
  it('is drawn over and over on a terminal, within its width, and taken away at the end', async () => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const args = ['-c', ON_TERMINAL, ...PROGRAM, 'import', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    const drawn = stdout.split('\r\u001b[K').slice(1);
    const bar =
      /^\[[#.]{20}\] +\d+% {2}[0-9.]+ [KM]?i?B of 1?[0-9.]+ MiB {2}[0-9.]+ \w+\/s.* {2}\S*medium\/kvm-ubuntu-22\.04\.tar\.gz$/;
    expect(drawn.length).toBeGreaterThan(1);
    for (const line of drawn.slice(0, -1)) {
      expect(line).toMatch(bar);
      expect(line.length).toBeLessThan(120);
    }
    // After the last clearing come the results.
    expect(drawn.at(-1)).toMatch(/^ARCHIVE +RESULT/);
  });

  it.each([
    [80, /^ *\d+% {2}[0-9.]+ [KM]?i?B of 1?[0-9.]+ MiB {2}[0-9.]+ \w+\/s {2}\S+ left {2}\S+$/],
    [50, /^ *\d+% {2}[0-9.]+ \w+\/s {2}\S+ left {2}\S+$/],
  ])('at %i columns shows percentage, rate and time left', async (columns, form) => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const args = ['-c', onTerminal(columns), ...PROGRAM, 'import', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    const drawn = stdout.split('\r\u001b[K').slice(1, -1);
    expect(drawn.length).toBeGreaterThan(0);
    for (const line of drawn) {
      expect(line).toMatch(form);
      expect(line.length).toBeLessThan(columns);
    }
  });

  it('shows no control character of a name: what a terminal acts on is ours', async () => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const name = '\u001b]0;owned\u0007\u001b[2J\u009b31m\r\u202eimported\n-ubuntu-22.04.tar.gz';
    await rename(join(medium, 'kvm-ubuntu-22.04.tar.gz'), join(medium, name));
    const args = ['-c', onTerminal(400), ...PROGRAM, 'import', '--os', 'ubuntu-22.04', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    const drawn = stdout.split('\r\u001b[K');
    expect(drawn.length).toBeGreaterThan(2);
    // The terminal itself ends lines with CR and LF.
    for (const line of drawn) expect(line.replaceAll('\r\n', '\n')).not.toMatch(FOREIGN);
    expect(drawn[1]).toContain('\\u202eimported\\u000a-ubuntu-22.04.tar.gz');
    expect(drawn.at(-1)).toMatch(/^ARCHIVE +RESULT[^\n]*\n\\u001b]0;owned[^\n]*imported/m);
    // Nor begins a reason with a name a line of its own.
    const unknown = 'a\ncache: forged.tar.gz';
    await rename(join(medium, name), join(medium, unknown));
    const { stderr } = await runCache(folder, 'import', join(medium, unknown));
    expect(stderr).toContain('name the file a\\u000acache: forged-ubuntu-22.04.tar.gz');
    expect(stderr).not.toMatch(/^cache: forged/m);
  });

  it('is not drawn with -q', async () => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const args = ['-c', ON_TERMINAL, ...PROGRAM, 'import', '-q', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    expect(stdout).toMatch(/^ARCHIVE +RESULT/);
    expect(stdout).not.toContain('%');
  });

  it('is not drawn into a pipe', async () => {
    const folder = await temporaryFolder();
    const { stdout, stderr } = await runCache(folder, 'import', await makeMedium(folder));
    expect(stdout + stderr).not.toMatch(/%|\r|\p{Cc}\[/u);
    expect(stdout).toMatch(/imported/);
  });
});

describe('the progress of verify --deep', () => {
  it('shows how much of all blobs is read, and names the release', async () => {
    const folder = await temporaryFolder();
    await runCache(folder, 'import', '-q', await makeMedium(folder));
    const args = ['verify', '--deep', '--rate', '20M'];
    const { stdout } = await promisify(execFile)('python3', ['-c', onTerminal(80), ...PROGRAM, ...args], {
      cwd: folder,
      env: ENVIRONMENT,
    });
    const drawn = stdout.split('\r\u001b[K').slice(1);
    expect(drawn.length).toBeGreaterThan(2);
    for (const line of drawn.filter((text) => text.includes('%'))) {
      expect(line).toMatch(
        /^ *\d+% {2}[0-9.]+ [KM]?i?B of 1?\d\.\d MiB {2}[0-9.]+ \w+\/s {2}\S+ left {2}\.{3}\S*kvm\/software\.cfg$/,
      );
      expect(line.length).toBeLessThan(80);
    }
    expect(drawn).toContainEqual(expect.stringMatching(/^1 entry, 1 blob \(.* MiB\): nothing wrong\r\n$/));
  });
});

describe('the log of a server', () => {
  it('holds no control character, and stays JSON', async () => {
    const file = join(await temporaryFolder(), 'log');
    const log = await open(file, 'w');
    const member = { path: 'bcache/\u009b31m\u007f\u202e' };
    const lines = createLogWriter(log.fd, () => undefined);
    lines.write(`${JSON.stringify(member)}\n`);
    lines.flush();
    await log.close();
    const text = await readFile(file, 'utf8');
    expect(text).not.toMatch(FOREIGN);
    expect(JSON.parse(text)).toEqual(member);
  });
});

describe('the progress of a fetch', () => {
  it('names the release, with one percentage where it is the only one', async () => {
    const folder = await temporaryFolder();
    const signer = await createTestSigner();
    const content = Buffer.alloc(4_000_000, 'x');
    const { pair } = signRelease(signer, { content });
    const upstream = await startScriptedServer(({ url = '', method }, response) => {
      if (url.startsWith('/bdir/')) response.end(JSON.stringify([pair]));
      else {
        response.writeHead(200, { 'Content-Length': String(content.length) });
        if (method === 'HEAD') response.end();
        else void trickle(response, content);
      }
    });
    await writeFile(join(folder, 'sign.crt'), signer.certificate);
    await writeFile(join(folder, 'config.ini'), '[signature]\ncertificate-file = sign.crt\n');
    await runCache(folder, 'init', '-c', 'config.ini');
    const command = ['fetch', '--server', upstream.url, '--os', 'ubuntu-22.04', RAPID_CDN];
    const { stdout } = await promisify(execFile)(
      'python3',
      ['-c', ON_TERMINAL, ...PROGRAM, ...command, '--multiarch', 'x86_64-linux-gnu'],
      { cwd: folder, env: ENVIRONMENT },
    );
    const drawn = stdout.split('\r\u001b[K').slice(1);
    expect(drawn.length).toBeGreaterThan(2);
    for (const line of drawn.slice(0, -1)) {
      expect(line).toMatch(
        /^\[[#.]{20}\] +\d+% {2}\S+ \w+ of 3\.8 MiB {2}.* left {2}\.{3}\S+\/rapid-cdn\/software\.cfg$/,
      );
      expect(line.length).toBeLessThan(120);
    }
    expect(drawn.at(-1)).toMatch(/^RESULT +PLATFORM/);
  });
});

/** Sends in pieces, with pauses in which the progress is drawn: for so long that a busy machine sees two of them, too. */
async function trickle(response: ServerResponse, content: Buffer): Promise<void> {
  for (let position = 0; position < content.length; position += 400_000) {
    response.write(content.subarray(position, position + 400_000));
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  response.end();
}
