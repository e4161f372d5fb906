import { execFileSync } from 'node:child_process';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { findProgram } from './process/programs.ts';

/** Where the figures are from. */
export interface Machine {
  readonly date: string;
  readonly processor: string;
  readonly cores: number;
  /** Bytes. */
  readonly memory: number;
  readonly kernel: string;
  readonly node: string;
  /** Undefined where it isn't installed. */
  readonly nginx: string | undefined;
  /** Processes that wanted to run in the minute before the bench, on average. */
  readonly load: number;
}

export function describeMachine(): Machine {
  const nginx = findProgram('nginx');
  return {
    date: new Date().toISOString().slice(0, 16),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory: totalmem(),
    kernel: release(),
    node: process.version,
    nginx: nginx === undefined ? undefined : versionOfNginx(nginx),
    load: loadavg()[0] ?? 0,
  };
}

/** nginx tells it on stderr. */
function versionOfNginx(program: string): string {
  const output = execFileSync('/bin/sh', ['-c', '"$0" -v 2>&1', program], { encoding: 'utf8' });
  return /nginx\/(\S+)/.exec(output)?.[1] ?? 'unknown';
}
