import { execFileSync } from 'node:child_process';
import { readFileSync, realpathSync } from 'node:fs';
import type { BuildInfo } from '../src/cli/build-info.ts';

/** Version and commit of the source in the current folder. */
export function buildInfo(): BuildInfo {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  // A copy of the source may lie inside another repository, whose commit it hasn't.
  if (git('rev-parse', '--show-toplevel') !== realpathSync('.')) return { version };
  const commit = git('rev-parse', 'HEAD') ?? '';
  const isDirty = git('status', '--porcelain', '--untracked-files=no') !== '';
  return { version, commit: `${commit}${isDirty ? '-dirty' : ''}` };
}

/** Seconds since 1970 of the commit, for all times in artefacts; without a clone, of SOURCE_DATE_EPOCH, or 1980. */
export function sourceDate(): number {
  // FAT and zip have no earlier time than 1980.
  return Number(process.env['SOURCE_DATE_EPOCH'] ?? git('log', '-1', '--format=%ct') ?? 315_532_800);
}

/** What rolldown replaces in the program, so that it finds its version without a file. */
export function definitions(info: BuildInfo): Record<string, string> {
  return { SHACACHE_BUILD: JSON.stringify(info) };
}

/** @returns undefined where git is missing or knows no repository */
function git(...args: readonly string[]): string | undefined {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}
