import { getSystemErrorMap } from 'node:util';
import { CommanderError } from 'commander';
import { CacheError } from '../cache/errors.ts';
import { EXIT, endWith, exitCodeOf } from './exit-code.ts';
import { createProgram } from './program.ts';
import { withoutControls } from '../cache/controls.ts';

// `cache list | head` closes the pipe, or somebody the terminal: the rest isn't wanted, and that is no failure. What is
// being done goes on.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE' || error.code === 'EIO') return;
  process.stderr.write(`cache: can't write the output: ${describeSystemError(error)}\n`);
  process.exit(EXIT.storage);
});
// There is nobody to tell it to.
process.stderr.on('error', () => undefined);

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

function describeSystemError({ code, errno, message }: NodeJS.ErrnoException): string {
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? code ?? message;
}

/** Nobody foresaw this error: whoever reports it needs to tell us where it came from. */
function faultOfOurs(error: unknown): string {
  return `unexpected error; please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
