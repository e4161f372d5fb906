import { Command } from '@commander-js/extra-typings';

/**
 * The common declaration of every command. `program.ts` loads the action only to run it, so that help and wrong options
 * answer at once.
 * @param example a complete call
 */
export function command(name: string, description: string, example: string) {
  return new Command(name)
    .description(description)
    .option(
      '-c, --config <file>',
      'configuration (default: $SHACACHE_CONFIG, ./config.ini, /etc/shacache/config.ini)',
    )
    .option('-q, --quiet', 'print results and errors only')
    .addHelpText('after', `\nExample:\n  ${example}`);
}

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
