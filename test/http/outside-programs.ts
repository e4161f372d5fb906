import { execFile, spawnSync } from 'node:child_process';
import { loopbackHosts } from '../fixtures/http-server.ts';

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Options of curl, the first ones: whatever ~/.curlrc and the proxies of the machine are, it is as it is. */
export const PLAIN_CURL = ['-q', '--noproxy', '*'] as const;

/** Runs a program to its end, whatever its exit code; programs of ours that hang are ended after a minute. */
export function run(
  program: string,
  args: readonly string[],
  variables: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const env = { ...process.env, ...variables };
    const options = { encoding: 'utf8', maxBuffer: 1e8, timeout: 60_000, env } as const;
    const child = execFile(program, args, options, (_error, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr });
    });
  });
}

/** Whether a test has to be left out because the machine lacks a program; then a line says so. */
export function lacks(...programs: readonly string[]): boolean {
  const missing = programs.filter((program) => spawnSync(program, ['--help']).error !== undefined);
  for (const program of missing) say(`skipped here: ${program} is not installed`);
  return missing.length > 0;
}

/** The loopback addresses to be tried; a line says so where IPv6 is missing. */
export function testedHosts(): readonly string[] {
  const hosts = loopbackHosts();
  if (!hosts.includes('::1')) say('skipped here: IPv6; this machine has no ::1');
  return hosts;
}

/** A line in the output of the tests: what was measured, or left out. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
