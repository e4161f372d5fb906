import { Command, Option } from '@commander-js/extra-typings';

/** What to do instead of a word that people write after a command, and that it does not take. */
export interface Mistakes {
  /** For an argument too many; `ARG` stands for it, quoted. */
  readonly argument?: string;
  /** By option, such as `--port`. */
  readonly options?: Readonly<Record<string, string>>;
}

/** A command that declares its mistakes. */
export class CacheCommand extends Command {
  readonly mistakes: Mistakes;

  constructor(name: string, mistakes: Mistakes) {
    super(name);
    this.mistakes = mistakes;
  }
}

/**
 * The common declaration of every command. `program.ts` loads the action only to run it, so that help and wrong options
 * answer at once.
 * @param description one line, also in the list of commands
 * @param example a complete call, each line of at most 78 characters
 */
export function command(name: string, description: string, example: string, mistakes: Mistakes = {}) {
  return new CacheCommand(name, mistakes)
    .description(description)
    .addOption(config())
    .addOption(quiet())
    .addHelpText('after', `\nExample:\n  ${example.replaceAll('\n', '\n  ')}`);
}

export const config = () =>
  new Option(
    '-c, --config <file>',
    'configuration (default: $SHACACHE_CONFIG, ./config.ini, /etc/shacache/config.ini)',
  );

export const quiet = () => new Option('-q, --quiet', 'print results and errors only');

/** The options of a command, by the function that declares it. */
export type OptionsOf<Declare extends (...args: never) => { opts(): object }> = Readable<
  ReturnType<ReturnType<Declare>['opts']>
>;

/** Also a flag that is false by default is a boolean. */
type Readable<Options> = {
  readonly [Name in keyof Options]: Exclude<Options[Name], undefined> extends boolean
    ? boolean
    : Options[Name];
};

/** Options that every command has. */
export type CommonOptions = OptionsOf<typeof command>;
