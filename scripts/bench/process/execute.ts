import { spawn } from 'node:child_process';
import { cpuSecondsOfChildren } from './usage.ts';

export interface ExecuteOptions {
  /** Ends the program when aborted. */
  readonly signal: AbortSignal;
  /** The program is ended after this time; 120 unless told. */
  readonly limitSeconds?: number;
  readonly cwd?: string;
}

/** A program that ended well. */
export interface Finished {
  readonly stdout: string;
  /** From before its start to its end. */
  readonly seconds: number;
  /** CPU seconds of it and its children; right only while no other child of this process ends. */
  readonly cpuSeconds: number;
}

/** Runs a program to its end. @throws Error in one line when it can't be started, or ends with anything but 0 */
export async function execute(
  program: string,
  args: readonly string[],
  { signal, limitSeconds = 120, cwd }: ExecuteOptions,
): Promise<Finished> {
  signal.throwIfAborted();
  const cpuBefore = await cpuSecondsOfChildren();
  const begin = performance.now();
  const stdout = await outputOf(program, args, { signal, limitSeconds, cwd });
  const seconds = (performance.now() - begin) / 1000;
  return { stdout, seconds, cpuSeconds: (await cpuSecondsOfChildren()) - cpuBefore };
}

function outputOf(
  program: string,
  args: readonly string[],
  { signal, limitSeconds, cwd }: { signal: AbortSignal; limitSeconds: number; cwd: string | undefined },
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      signal,
      timeout: limitSeconds * 1000,
      killSignal: 'SIGKILL',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.once('error', reject);
    child.once('close', (code, killedBy) => {
      if (code === 0) resolve(stdout);
      else reject(new Error(faultOf(program, args, killedBy ?? String(code), stderr || stdout)));
    });
  });
}

/** The program, how it ended, and its last words. */
function faultOf(program: string, args: readonly string[], end: string, output: string): string {
  const words = output.trim().split('\n').at(-1) ?? '';
  return `${[program, ...args].join(' ').slice(0, 200)} ended with ${end}: ${words}`;
}
