import { CommanderError } from 'commander';
import { CacheError, shortReasonOf } from '../cache/errors.ts';
import { EXIT, endWith, exitCodeOf } from './exit-code.ts';
import { createProgram } from './program.ts';
import { withoutControls } from '../cache/controls.ts';

// A closed pipe (`cache list | head`) or terminal is no failure: the command continues without output.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE' || error.code === 'EIO') return;
  process.stderr.write(`cache: can't write the output (${shortReasonOf(error)})\n`);
  process.exit(EXIT.storage);
});
// No reader is left.
process.stderr.on('error', () => undefined);

try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help or the version; a call without any command gets the help as an error.
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
  } else {
    endWith(exitCodeOf(error));
    const text = error instanceof CacheError ? error.message : faultOfOurs(error);
    process.stderr.write(`cache: ${withoutControls(text)}\n`);
  }
}

/** An unforeseen error: a report needs its origin. */
function faultOfOurs(error: unknown): string {
  return `unexpected error; please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
