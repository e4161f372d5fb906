import { join } from 'node:path';
import { run } from './outside-programs.ts';

const SCRIPT = join(import.meta.dirname, '../judges/python_client.py');

/** Runs the judge with options and command; its JSON, with the exit code beside it. */
export async function python(base: string, ...args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run('python3', [SCRIPT, '--base', base, ...args]);
  if (stdout === '') throw new Error(`no result: ${stderr}`);
  return { code, ...(JSON.parse(stdout) as Record<string, unknown>) };
}
