import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

/** The command as it is installed; `npm run build` makes it. */
export const CACHE = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

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
export const ENVIRONMENT = { ...process.env, SHACACHE_CONFIG: '', NO_COLOR: '1', TZ: 'UTC' };

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

/** Runs `cache ARGS…` in the folder `cwd` to its end. */
export function runCache(cwd: string, ...args: readonly string[]): Promise<CommandResult> {
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
