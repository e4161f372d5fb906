import { getSystemErrorMap } from 'node:util';
import { CommanderError } from 'commander';
import { CacheError } from '../cache/errors.ts';
import { EXIT, endWith, exitCodeOf } from './exit-code.ts';
import { errorLine, type JsonErrorCode } from './json-error.ts';
import { createProgram } from './program.ts';
import { withoutControls } from '../cache/controls.ts';

/** Also an error in the arguments themselves is JSON then. */
const isJson = argumentsBefore('--', process.argv.slice(2)).includes('--json');

// A closed pipe (`cache list | head`) or terminal is no failure: the command continues without output.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE' || error.code === 'EIO') return;
  complain('storage', `can't write the output: ${describeSystemError(error)}`);
  process.exit(EXIT.storage);
});
// No reader is left.
process.stderr.on('error', () => undefined);

try {
  await createProgram({ isSilent: isJson }).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage;
    // Otherwise commander wrote the message.
    if (isJson && error.exitCode !== 0) complain('usage', describeUsage(error));
  } else {
    endWith(exitCodeOf(error));
    if (error instanceof CacheError) complain(error.code, error.message);
    else complain('unexpected', faultOfOurs(error));
  }
}

function complain(code: JsonErrorCode, message: string): void {
  process.stderr.write(`${withoutControls(isJson ? errorLine(code, message) : `cache: ${message}`)}\n`);
}

function describeUsage({ code, message }: CommanderError): string {
  if (code === 'commander.help') return 'no command is named; see: cache --help';
  return message.replace(/^error: /, '');
}

function argumentsBefore(end: string, all: readonly string[]): readonly string[] {
  const index = all.indexOf(end);
  return index === -1 ? all : all.slice(0, index);
}

function describeSystemError({ code, errno, message }: NodeJS.ErrnoException): string {
  return (errno === undefined ? undefined : getSystemErrorMap().get(errno)?.[1]) ?? code ?? message;
}

/** An unforeseen error: a report needs its origin. */
function faultOfOurs(error: unknown): string {
  return `unexpected error; please report it:\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
