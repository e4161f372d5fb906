import { execFile, spawn, spawnSync } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
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
  const { stdout } = await run('pgrep', ['--parent', String(pid)]);
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
