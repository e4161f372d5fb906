import type { CommanderError, CommandUnknownOpts } from '@commander-js/extra-typings';
import { CacheError } from '../cache/errors.ts';
import { nearest } from '../cache/nearest.ts';
import { quoteForShell } from '../cache/shell.ts';
import { CacheCommand, type Mistakes } from './command.ts';

/**
 * A wrong command line, said as every other error is.
 * @param command that was called
 * @param fault as Commander says it
 */
export function usageError(command: CommandUnknownOpts, { code, message }: CommanderError): CacheError {
  const { args } = command;
  const text = message.replace(/^error: /, '').replace(/\.$/, '');
  switch (code) {
    case 'commander.unknownCommand':
      return unknownCommand(command, args[0] ?? '');
    case 'commander.unknownOption':
      return unknownOption(command, /'(.*)'/s.exec(text)?.[1] ?? '');
    case 'commander.excessArguments': {
      const extra = args[command.registeredArguments.length] ?? '';
      const { argument } = mistakesOf(command);
      const instead = argument && `; ${argument.replaceAll('ARG', () => quoteForShell(extra))}`;
      return new CacheError(
        'usage',
        `${prefixOf(command)}too many arguments, from '${extra}' on${instead ?? see(command)}`,
      );
    }
    default:
      return new CacheError('usage', prefixOf(command) + text + see(command));
  }
}

/** @param command that has no command of this name */
export function unknownCommand(command: CommandUnknownOpts, name: string): CacheError {
  const names = command.commands.map((part) => part.name());
  return new CacheError(
    'usage',
    `${prefixOf(command)}unknown command '${name}'${meantOption(command, name) ?? meant(name, names) ?? see(command)}`,
  );
}

/** The option that was taken for a command, if only one begins with the word: `heal` of `verify --heal-from`. */
function meantOption({ commands }: CommandUnknownOpts, word: string): string | undefined {
  const found = commands.flatMap((command) =>
    command.options
      .filter(({ long, hidden }) => !hidden && `${long}-`.startsWith(`--${word}-`))
      .map(({ long }) => `${command.name()} ${long}`),
  );
  return found.length === 1 ? `; did you mean ${found[0]}?` : undefined;
}

function mistakesOf(command: CommandUnknownOpts): Mistakes {
  return command instanceof CacheCommand ? command.mistakes : {};
}

function unknownOption(command: CommandUnknownOpts, flag: string): CacheError {
  const isBefore = command.parent === null;
  const hasFlag = ({ options }: CommandUnknownOpts): boolean =>
    options.some(({ long, short }) => long === flag || short === flag);
  if (isBefore && command.commands.some(hasFlag))
    return new CacheError('usage', `option '${flag}' stands before the command; write it after the command`);
  const flags = command.options.flatMap(({ long }) => (long === undefined ? [] : [long]));
  const [name = ''] = flag.split('=', 1);
  const hint = mistakesOf(command).options?.[name];
  const instead = hint && `; ${hint}`;
  return new CacheError(
    'usage',
    `${prefixOf(command)}unknown option '${flag}'${instead ?? meant(name, flags) ?? see(command)}`,
  );
}

/** Letters of a word that is long enough for two typing errors. */
const LONG_WORD = 8;
/** Letters that suffice to begin a word. */
const BEGINNING = 3;

/** What was probably meant, if a few letters are wrong, or missing at the end. */
function meant(word: string, names: readonly string[]): string | undefined {
  const begun = names.filter((name) => letters(word).length >= BEGINNING && name.startsWith(word));
  const most = letters(word).length < LONG_WORD ? 1 : 2;
  const found = begun.length === 1 ? begun : nearest(word, names, { limit: 1, most });
  return found[0] === undefined ? undefined : `; did you mean ${found[0]}?`;
}

function letters(word: string): string {
  return word.replace(/^-+/, '');
}

function prefixOf(command: CommandUnknownOpts): string {
  const names = namesOf(command);
  return names.length === 0 ? '' : `${names.join(' ')}: `;
}

function see(command: CommandUnknownOpts): string {
  return `; see: ${['cache', ...namesOf(command), '--help'].join(' ')}`;
}

/** As they are typed after the name of the program. */
function namesOf(command: CommandUnknownOpts): readonly string[] {
  return command.parent === null ? [] : [...namesOf(command.parent), command.name()];
}
