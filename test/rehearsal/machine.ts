import { execFile, spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';

const run = promisify(execFile);

/** Folders that a machine has for itself: what is written there is seen by it alone. */
const OWN_FOLDERS = ['/etc', '/mnt', '/opt', '/srv', '/root', '/usr/local/bin', '/usr/sbin'];

export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * A machine: a network namespace with nothing but a loopback, and a mount namespace in which its folders are its own.
 * It ends with the test, and everything that runs on it.
 */
export interface Machine {
  readonly name: string;
  /** Its first process, by which others join its namespaces. */
  readonly pid: number;
  /** Runs a script of bash on it to its end, which must be 0 within two minutes. */
  run(script: string): Promise<CommandResult>;
  /** As `run`, but any end will do. */
  attempt(script: string): Promise<CommandResult>;
}

/** Why this system can't have such machines; undefined when it can. */
export async function whyNoMachines(): Promise<string | undefined> {
  try {
    await run('unshare', ['--mount', '--net', '--pid', '--fork', 'ip', 'link', 'set', 'lo', 'up']);
    return undefined;
  } catch (error) {
    return `needs the right to make namespaces, and iproute2: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** @param folder where what it writes is kept */
export async function startMachine(name: string, folder: string): Promise<Machine> {
  const mounts: string[] = [];
  for (const [index, own] of OWN_FOLDERS.entries()) {
    const [upper, work] = [join(folder, `${index}.upper`), join(folder, `${index}.work`)];
    await mkdir(upper, { recursive: true });
    await mkdir(work, { recursive: true });
    mounts.push(`mount -t overlay overlay -o lowerdir=${own},upperdir=${upper},workdir=${work} ${own}`);
  }
  // A pid namespace of its own: with its first process everything on the machine ends.
  const child = spawn(
    'unshare',
    [
      '--mount',
      '--net',
      '--pid',
      '--fork',
      '--mount-proc',
      '--kill-child',
      '--propagation',
      'private',
    ].concat([
      'bash',
      '-euc',
      [...mounts, 'ip link set lo up', 'echo ready', 'exec sleep infinity'].join('\n'),
    ]),
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  await new Promise<void>((resolve, reject) => {
    let complaint = '';
    child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
    child.stdout.once('data', () => {
      resolve();
    });
    child.once('close', (code) => {
      reject(new Error(`the machine ${name} ended with ${String(code)}: ${complaint}`));
    });
  });
  if (child.pid === undefined) throw new Error('unshare has no pid');
  const { stdout } = await run('pgrep', ['--parent', String(child.pid)]);
  const pid = Number(stdout.trim());

  const attempt = (script: string): Promise<CommandResult> =>
    new Promise((resolve, reject) => {
      const command = spawn(
        'nsenter',
        ['--target', String(pid), '--mount', '--net', '--pid', 'bash', '-euo', 'pipefail', '-c', script],
        {
          cwd: '/',
          // No proxy of the real machine is to be reached from here.
          env: { ...process.env, NODE_OPTIONS: '', SHACACHE_CONFIG: '', NO_COLOR: '1', no_proxy: '*' },
          stdio: ['ignore', 'pipe', 'pipe'],
        },
      );
      let stdout = '';
      let stderr = '';
      const timer = setTimeout(() => command.kill('SIGKILL'), 120_000);
      command.stdout.on('data', (text: Buffer) => (stdout += text.toString()));
      command.stderr.on('data', (text: Buffer) => (stderr += text.toString()));
      command.once('error', reject).once('close', (code, signal) => {
        clearTimeout(timer);
        if (code === null)
          reject(new Error(`${name}: ended by ${String(signal)}: ${script}\n${stdout}${stderr}`));
        else resolve({ code, stdout, stderr });
      });
    });

  return {
    name,
    pid,
    attempt,
    async run(script) {
      const result = await attempt(script);
      if (result.code === 0) return result;
      throw new Error(`${name}: exit code ${result.code} of:\n${script}\n${result.stdout}${result.stderr}`);
    },
  };
}

/** Joins two machines by a cable, with these addresses on its ends. */
export async function connect(
  [left, leftAddresses]: readonly [Machine, readonly string[]],
  [right, rightAddresses]: readonly [Machine, readonly string[]],
): Promise<void> {
  await run('ip', [
    ...['link', 'add', 'cable', 'netns', String(left.pid), 'type', 'veth'],
    ...['peer', 'name', 'cable', 'netns', String(right.pid)],
  ]);
  for (const [machine, addresses] of [
    [left, leftAddresses],
    [right, rightAddresses],
  ] as const) {
    for (const address of addresses) {
      // An IPv6 address is not usable until nobody else was found to have it, if that is looked for.
      await machine.run(`ip address add ${address} dev cable ${address.includes(':') ? 'nodad' : ''}`);
    }
    await machine.run('ip link set cable up');
  }
}

/** The folder of the whole repository. */
export const REPOSITORY = dirname(dirname(import.meta.dirname));
