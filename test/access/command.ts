import { spawnSync } from 'node:child_process';

/** Whether a program is installed. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0;
}

/** Runs a program and returns what it wrote, without the last line ends. */
export function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) {
    throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  }
  return stdout.trimEnd();
}

/** A line among the results for tests that can't run here. */
export function noteSkipped(what: string, missing: string): void {
  process.stderr.write(`skipped: ${what}: ${missing} is not installed\n`);
}
