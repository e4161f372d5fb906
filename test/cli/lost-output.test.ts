import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ENVIRONMENT, PROGRAM, initSite } from './command.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  await initSite(folder, 'site');
});

/** Runs `cache ARGS…` with an output on a disk that is full. */
function startOnFullDisk(output: 'stdout' | 'stderr', ...args: readonly string[]) {
  const full = openSync('/dev/full', 'w');
  const child = spawn(PROGRAM[0], [...PROGRAM.slice(1), ...args], {
    cwd: `${folder}/site`,
    env: ENVIRONMENT,
    stdio: output === 'stdout' ? ['ignore', full, 'pipe'] : ['ignore', 'pipe', full],
  });
  closeSync(full);
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

describe('a full disk', () => {
  it('for the log keeps no server from answering, nor from ending', async () => {
    const server = startOnFullDisk('stderr', 'serve', '--listen', '127.0.0.1:0');
    let shown = '';
    for await (const text of server.stdout?.setEncoding('utf8') ?? []) {
      shown += String(text);
      if (shown.includes('Serving ')) break;
    }
    const [, url = ''] = /^Serving .* on (http:\S+)$/m.exec(shown) ?? [];
    for (let count = 0; count < 300; count++)
      expect((await fetch(`${url}/nothing/${'a'.repeat(1000)}`)).status).toBe(404);
    // More than once held back.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect((await fetch(`${url}/health`)).status).toBe(200);
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
  });

  it('for what a command prints is told in a line, and ends with 3', async () => {
    const child = startOnFullDisk('stdout', 'inventory');
    let told = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (told += text));
    expect(await once(child, 'close')).toEqual([3, null]);
    expect(told).toBe("cache: can't write the output (ENOSPC: no room is left on the disk)\n");
  });
});

/**
 * Serves on a terminal that goes away, and tells what requests after that get. How the process ends is node's: to leave
 * the terminal as it was, it fails when there is none, with any program.
 */
const LOSE_TERMINAL = `
import os, pty, re, signal, sys, time, urllib.request
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
# Whatever ends this script ends the server, which survives a lost terminal.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
try:
    shown = ''
    while 'is empty' not in shown:
        shown += os.read(terminal, 65536).decode()
    url = re.search(r'http://127\\.0\\.0\\.1:\\d+', shown).group()
    os.close(terminal)
    time.sleep(0.3)
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(3):
        print(direct.open(url + '/health').status)
        time.sleep(0.3)
finally:
    os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
`;

it('a terminal that is lost takes no server with it', async () => {
  const args = ['-c', LOSE_TERMINAL, ...PROGRAM, 'serve', '--listen', '127.0.0.1:0'];
  const { stdout } = await promisify(execFile)('python3', args, {
    cwd: `${folder}/site`,
    env: ENVIRONMENT,
    timeout: 40_000,
  });
  expect(stdout).toBe('200\n200\n200\n');
});
