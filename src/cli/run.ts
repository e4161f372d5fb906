import { CommanderError } from 'commander';
import { CacheError, shortReasonOf } from '../cache/errors.ts';
import { EXIT, endWith, exitCodeOf } from './exit-code.ts';
import { errorLine, type JsonErrorCode } from './json-error.ts';
import { createProgram } from './program.ts';
import { withoutControls } from '../cache/controls.ts';
import { wrapFor } from './terminal/wrap.ts';

/** Runs the command that the arguments of this process name, to its end, and sets the exit code. Throws nothing. */
export async function run(): Promise<void> {
  // Also an error in the arguments themselves is JSON then.
  const isJson = argumentsBefore('--', process.argv.slice(2)).includes('--json');
  const complain = (code: JsonErrorCode, message: string): void => {
    const text = isJson
      ? withoutControls(errorLine(code, message))
      : wrapFor(process.stderr, withoutControls(`cache: ${message}`));
    process.stderr.write(`${text}\n`);
  };

  // A closed pipe (`cache list | head`) or terminal is no failure: the command continues without output.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE' || error.code === 'EIO') return;
    complain('storage', `can't write the output (${shortReasonOf(error)})`);
    process.exit(EXIT.storage);
  });
  // No reader is left.
  process.stderr.on('error', () => undefined);

  try {
    await createProgram({ isSilent: isJson }).parseAsync();
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help or the version; a call without any command gets the help as an error.
      process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
      if (isJson && error.exitCode !== 0) complain('usage', 'no command is named; see: cache --help');
    } else {
      endWith(exitCodeOf(error));
      if (error instanceof CacheError) complain(error.code, error.message);
      else complain('unexpected', faultOfOurs(error));
    }
  }
}

function argumentsBefore(end: string, all: readonly string[]): readonly string[] {
  const index = all.indexOf(end);
  return index === -1 ? all : all.slice(0, index);
}

/** An unforeseen error: a report needs its origin. */
function faultOfOurs(error: unknown): string {
  return `unexpected error; please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
