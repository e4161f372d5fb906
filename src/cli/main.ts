#!/usr/bin/env node
import { CommanderError } from 'commander';
import { CacheError } from '../cache/errors.ts';
import { EXIT, endWith, exitCodeOf } from './exit-code.ts';
import { createProgram } from './program.ts';
import { withoutControls } from './terminal/terminal.ts';

// `cache list | head` closes the pipe: the rest isn't wanted, and that is no failure. What is being done goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has written its message already.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    endWith(exitCodeOf(error));
    const text = error instanceof CacheError ? error.message : faultOfOurs(error);
    process.stderr.write(`cache: ${withoutControls(text)}\n`);
  }
}

/** Nobody foresaw this error: whoever reports it needs to tell us where it came from. */
function faultOfOurs(error: unknown): string {
  return `unexpected error; please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
