import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { run, say } from './outside-programs.ts';

const SCRIPT = join(import.meta.dirname, '../judges/python_client.py');
/** Debian's own Python has python3-distro, where it is installed; another Python in the path may not. */
const DEBIAN_PYTHON = '/usr/bin/python3';

/** Runs the judge with options and command; its JSON, with the exit code beside it. */
export function python(base: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  return judge('python3', {}, base, args);
}

/** The same as a node: with `distro`, and trusting no certificate unless a variable says so. */
export function pythonNode(
  variables: NodeJS.ProcessEnv,
  base: string,
  ...args: readonly string[]
): Promise<Record<string, unknown>> {
  return judge(
    DEBIAN_PYTHON,
    { SSL_CERT_FILE: undefined, SSL_CERT_DIR: undefined, ...variables },
    base,
    args,
  );
}

/** Whether tests of `pythonNode` have to be left out; then a line says so. */
export function lacksDistro(): boolean {
  const isMissing = spawnSync(DEBIAN_PYTHON, ['-c', 'import distro']).status !== 0;
  if (isMissing) say('skipped here: python3-distro is not installed');
  return isMissing;
}

async function judge(
  program: string,
  variables: NodeJS.ProcessEnv,
  base: string,
  args: readonly string[],
): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(program, [SCRIPT, '--base', base, ...args], variables);
  if (stdout === '') throw new Error(`no result: ${stderr}`);
  return { code, ...(JSON.parse(stdout) as Record<string, unknown>) };
}
