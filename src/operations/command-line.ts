import { resolve } from 'node:path';
import { isSea } from 'node:sea';
import { quoteForShell } from '../cache/shell.ts';
import type { Config } from '../config/config.ts';

/**
 * A command for the site of a configuration, to be pasted into a shell: with `-c` only if the configuration is not found
 * without it.
 * @param call name of the command with its options, such as `verify --repair` or `trust add CERT`
 * @param words arguments, quoted where needed
 */
export function commandOf(
  { file, isNamed }: Pick<Config, 'file' | 'isNamed'>,
  call: string,
  words: readonly string[] = [],
): string {
  const name = /^[a-z-]+(?: [a-z][a-z-]*)*/.exec(call)?.[0] ?? '';
  const config = file === undefined || !isNamed ? [] : ['-c', quoteForShell(file)];
  const rest = call.slice(name.length).trimStart();
  return [calledAs(), name, ...config, rest, ...words.map(quoteForShell)]
    .filter((part) => part !== '')
    .join(' ');
}

/** Whether commands as `commandOf` makes them work in the current folder only. */
export function isOnlyHere({ file }: Pick<Config, 'file'>): boolean {
  return file === undefined || isNpmStart();
}

/** The executable may lie on a medium, where no PATH leads; `npm start` needs no installed command. */
function calledAs(): string {
  if (isNpmStart()) return 'node bin/cache.js';
  return isSea() && process.argv0.includes('/') ? quoteForShell(resolve(process.argv0)) : 'cache';
}

function isNpmStart(): boolean {
  return process.env['npm_lifecycle_event'] === 'start';
}
