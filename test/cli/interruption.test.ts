import { execFile, spawn, spawnSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, say } from '../http/outside-programs.ts';
import { ENVIRONMENT, PROGRAM } from './command.ts';

const run = promisify(execFile);

function lacksPidNamespaces(): boolean {
  const lacking = spawnSync('unshare', ['--pid', '--fork', 'true']).status !== 0;
  if (lacking) say('skipped here: the first process of a container; process namespaces are not allowed');
  return lacking;
}

/** The processes of which `pid` is the parent. */
async function childOf(pid: number | undefined): Promise<number> {
  const { stdout } = await run('pgrep', ['--parent', String(pid)]).catch(() => ({ stdout: '0' }));
  return Number(stdout.trim());
}

describe.skipIf(lacks('unshare', 'pgrep') || lacksPidNamespaces())('the first process of a container', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    'ends at %s, although Linux sends it no signal that it does not handle',
    async (signal, code) => {
      // It takes connections, and never answers.
      const silent = createServer();
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => void silent.close());
      const { port } = silent.address() as AddressInfo;
      const connected = new Promise((resolve) => silent.once('connection', resolve));
      const command = [...PROGRAM, 'check', '--server', `http://127.0.0.1:${port}`, 'https://a.example/b'];
      const child = spawn('unshare', ['--pid', '--fork', '--kill-child', ...command], {
        ...{ cwd: await temporaryFolder(), env: ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] },
      });
      const ended = new Promise((resolve) => child.once('close', resolve));
      onTestFinished(() => void child.kill('SIGKILL'));
      let stderr = '';
      child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
      await connected;
      process.kill(await childOf(child.pid), signal);
      expect(await ended).toBe(code);
      expect(stderr).toMatch(/^cache: interrupted$/m);
    },
  );
});

/** Runs a program on a terminal until `serve.log`, or the terminal, says where it serves; then closes the terminal. */
const CLOSED_TERMINAL = `
import os, pty, re, select, sys, time
folder, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.chdir(folder)
    os.execvp(command[0], command)
text, log = "", os.path.join(folder, "nohup.out")
while not re.search(r"Serving .* on (http:\\S+)\\s", text):
    try:
        if select.select([terminal], [], [], 0.05)[0]: text += os.read(terminal, 65536).decode()
    except OSError: time.sleep(0.05) # nohup has taken its output off the terminal.
    if os.path.exists(log): text += open(log).read()
print(pid, re.search(r"Serving .* on (http:\\S+)\\s", text).group(1), flush=True)
sys.stdin.readline()
os.close(terminal)
print(os.waitpid(pid, 0)[1], flush=True)
`;

describe.skipIf(lacks('python3', 'nohup'))('a server whose terminal is closed', () => {
  it.each([
    { what: 'ends', before: [], isLeft: false },
    { what: 'goes on if it was started with nohup', before: ['nohup'], isLeft: true },
  ])('$what', async ({ before, isLeft }) => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'store', 'bcache'), { recursive: true });
    await writeFile(join(folder, 'config.ini'), '[store]\npath = store\n');
    const serve = [...before, ...PROGRAM, 'serve', '--listen', '127.0.0.1:0'];
    const python = spawn('python3', ['-c', CLOSED_TERMINAL, folder, ...serve], { env: ENVIRONMENT });
    const ended = new Promise((resolve) => python.once('close', resolve));
    let shown = '';
    python.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
    await expect.poll(() => shown, { timeout: 50_000 }).toMatch(/^\d+ http\S+\n/);
    const [, pid = '', url = ''] = /^(\d+) (\S+)/.exec(shown) ?? [];
    onTestFinished(async () => {
      if (!/\n./.test(shown)) process.kill(Number(pid), 'SIGKILL');
      await ended;
    });
    expect((await fetch(`${url}/health`)).status).toBe(200);
    python.stdin.write('close\n');
    if (isLeft) {
      const terminal = async (): Promise<string> =>
        (await run('ps', ['-o', 'tty=', '-p', pid])).stdout.trim();
      await expect.poll(terminal).toBe('?');
      expect((await fetch(`${url}/health`)).status).toBe(200);
    } else {
      // By SIGHUP, as any program.
      await expect.poll(() => shown).toMatch(/\n1\n$/);
      await expect(fetch(`${url}/health`)).rejects.toThrow();
    }
  });
});
