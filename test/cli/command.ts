import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { placeKeyPair } from '../fixtures/key-pairs.ts';

/** The command as it is installed; `npm run build` makes it. */
export const CACHE = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const RUN = new URL('../../dist/cli/run.js', import.meta.url).href;

/** The executable to test in its place (`npm run test:executable`). */
export const EXECUTABLE = process.env['SHACACHE_EXECUTABLE'];

/** The program that tests run, and its first arguments. */
export const PROGRAM: readonly [string, ...(readonly string[])] =
  EXECUTABLE === undefined ? [process.execPath, CACHE] : [EXECUTABLE];

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Nothing of the person's own configuration reaches a test. */
const OWN_VARIABLES = { SHACACHE_CONFIG: '', NO_COLOR: '1', TZ: 'UTC' };
export const ENVIRONMENT = { ...process.env, ...OWN_VARIABLES };

/**
 * @param variables beside those of the environment
 * @param node options of Node itself
 */
export function startCache(
  cwd: string,
  args: readonly string[],
  {
    variables = {},
    node = [],
  }: { readonly variables?: NodeJS.ProcessEnv; readonly node?: readonly string[] } = {},
): ChildProcess {
  const child = spawn(PROGRAM[0], [...PROGRAM.slice(1), ...args], {
    cwd,
    env: { ...ENVIRONMENT, NODE_OPTIONS: node.join(' '), ...variables },
    // As found in PATH: messages begin with this name.
    argv0: EXECUTABLE === undefined ? process.execPath : 'cache',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  });
  return child;
}

/** Runs `cache ARGS…` in the folder `cwd` to its end, in a process of its own. */
export function runProcess(cwd: string, ...args: readonly string[]): Promise<CommandResult> {
  return resultOf(startCache(cwd, args));
}

export function resultOf(child: ChildProcess): Promise<CommandResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => {
      resolve({ code, stdout, stderr });
    });
  });
}

/** Runs `cache init SITE ARGS…`, with the key pair of a site that was made before. */
export async function initSite(
  cwd: string,
  site: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const index = args.indexOf('--common-name');
  const commonName = index === -1 ? undefined : args[index + 1];
  await placeKeyPair(join(cwd, site, 'miscellaneous'), site, commonName);
  return runCache(cwd, 'init', site, ...args);
}

let turn: Promise<unknown> = Promise.resolve();

/**
 * Runs `cache ARGS…` in the folder `cwd` to its end, in this process: a process of its own takes ten times as long, and
 * `runProcess` is for what only that shows. The code is that of dist/, which the command loads. One at a time,
 * because the command has the arguments, the current folder and the output of the process.
 */
export function runCache(cwd: string, ...args: readonly string[]): Promise<CommandResult> {
  // A server ends its process.
  if (EXECUTABLE !== undefined || args.includes('serve')) return runProcess(cwd, ...args);
  const result = turn.then(() => runHere(cwd, args));
  turn = result.catch(() => undefined);
  return result;
}

async function runHere(cwd: string, args: readonly string[]): Promise<CommandResult> {
  const { run } = (await import(RUN)) as { readonly run: () => Promise<void> };
  const before = { folder: process.cwd(), argv: process.argv, exitCode: process.exitCode };
  const variables = { ...process.env };
  const streams = {
    stdout: Object.getOwnPropertyDescriptor(process, 'stdout'),
    stderr: Object.getOwnPropertyDescriptor(process, 'stderr'),
  };
  const listeners = SIGNALS.map((signal) => [signal, new Set(process.listeners(signal))] as const);
  const [stdout, stderr] = [collector(), collector()];
  try {
    process.chdir(cwd);
    process.argv = [process.execPath, CACHE, ...args];
    process.exitCode = undefined;
    Object.assign(process.env, OWN_VARIABLES);
    Object.defineProperty(process, 'stdout', { value: stdout.stream, configurable: true });
    Object.defineProperty(process, 'stderr', { value: stderr.stream, configurable: true });
    await run();
    return { code: exitCode(), stdout: stdout.text(), stderr: stderr.text() };
  } finally {
    process.chdir(before.folder);
    process.argv = before.argv;
    process.exitCode = before.exitCode;
    for (const name of Object.keys(OWN_VARIABLES)) {
      if (variables[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = variables[name];
    }
    for (const [name, descriptor] of Object.entries(streams))
      if (descriptor !== undefined) Object.defineProperty(process, name, descriptor);
    for (const [signal, own] of listeners)
      for (const listener of process.listeners(signal))
        if (!own.has(listener)) process.removeListener(signal, listener);
  }
}

function exitCode(): number {
  return Number(process.exitCode ?? 0);
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function collector(): { readonly stream: Writable; readonly text: () => string } {
  const pieces: Buffer[] = [];
  const stream = new Writable({
    write(piece: Buffer, _encoding, done) {
      pieces.push(piece);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(pieces).toString('utf8') };
}
