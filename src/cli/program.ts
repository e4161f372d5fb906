import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { withoutControls } from '../cache/controls.ts';
import { buildInfo } from './build-info.ts';
import { config, quiet } from './command.ts';
import { checkCommand } from './commands/check.ts';
import { completionCommand } from './commands/completion.ts';
import { configCheckCommand, configCommand } from './commands/config.ts';
import { exportCommand } from './commands/export.ts';
import { fetchCommand } from './commands/fetch.ts';
import { gcCommand } from './commands/gc.ts';
import { healthCommand } from './commands/health.ts';
import { helpCommand } from './commands/help.ts';
import { importCommand } from './commands/import.ts';
import { initCommand } from './commands/init.ts';
import { inventoryCommand } from './commands/inventory.ts';
import { keygenCommand } from './commands/keygen.ts';
import { listCommand } from './commands/list.ts';
import { logCommand } from './commands/log.ts';
import { lookupCommand } from './commands/lookup.ts';
import { packCommand } from './commands/pack.ts';
import { removeCommand } from './commands/remove.ts';
import { serveCommand } from './commands/serve.ts';
import { slaposCfgCommand } from './commands/slapos-cfg.ts';
import { syncCommand } from './commands/sync.ts';
import { trustAddCommand, trustCommand, trustListCommand, trustRemoveCommand } from './commands/trust.ts';
import { verifyCommand } from './commands/verify.ts';
import { versionCommand } from './commands/version.ts';
import { tellWhenInterrupted } from './interruption.ts';
import { json } from './options.ts';
import { unknownCommand, usageError } from './usage-error.ts';
import { wrapFor } from './terminal/wrap.ts';

/**
 * The command line: the declarations in `commands/`, each with its code in `actions/`. Only running a command loads its
 * code: `--help` and wrong options answer at once.
 * @param isSilent leaves it to the caller to say that no command is named
 */
export function createProgram({ isSilent = false }: { readonly isSilent?: boolean } = {}): Command {
  const program = new Command('cache')
    .description('Offline binary cache for SlapOS: imports compiled software, signs and serves it.')
    .usage('COMMAND [options]')
    .version(buildInfo().version, '-V, --version', 'show the version')
    .helpOption('-h, --help', 'show this help')
    .helpCommand(false)
    // The help of each command shows them; without them, the list of commands is narrow and short.
    .addOption(config().hideHelp())
    .addOption(quiet().hideHelp())
    .addOption(json().hideHelp())
    .enablePositionalOptions()
    .configureHelp({ subcommandTerm: (command) => command.name(), minWidthToWrap: 20 })
    .showSuggestionAfterError(false)
    .addHelpText(
      'after',
      '\nOptions of a command, with an example: cache help COMMAND\n\nExit codes: 0 done, 1 done in part or not found, 2 wrong usage or configuration,\n3 storage or network failed, 130 interrupted by Ctrl-C (143 by SIGTERM).',
    )
    .hook('preAction', (_program, action) => {
      for (let from = action.parent; from !== null; from = from.parent) passOptions(from, action);
      tellWhenInterrupted(action.name());
    })
    .configureOutput({
      writeOut: (text) => process.stdout.write(withoutControls(text)),
      writeErr: (text) => isSilent || process.stderr.write(wrapFor(process.stderr, withoutControls(text))),
      // It is thrown, and reported as every other error is.
      outputError: () => undefined,
    });

  for (const [group, commands] of Object.entries(commandsOf(program))) {
    program.commandsGroup(group);
    for (const command of commands) program.addCommand(command);
  }
  for (const command of withParts(program)) {
    if (command !== program) command.copyInheritedSettings(program);
    command.exitOverride((end) => {
      throw end.message.startsWith('error: ') ? usageError(command, end) : end;
    });
  }
  return program;
}

/** A command, and all commands below it. */
function withParts(command: CommandUnknownOpts): readonly CommandUnknownOpts[] {
  return [command, ...command.commands.flatMap(withParts)];
}

/** In the order of a first use. */
function commandsOf(program: Command): Readonly<Record<string, readonly CommandUnknownOpts[]>> {
  return {
    'Fill the store:': [
      initCommand().action(async (dir, options) => (await import('./actions/init.ts')).init(dir, options)),
      keygenCommand().action(async (options) => (await import('./actions/keygen.ts')).keygen(options)),
      importCommand().action(async (paths, options) =>
        (await import('./actions/import.ts')).importPaths(paths, options),
      ),
      packCommand().action(async (folders, options) =>
        (await import('./actions/pack.ts')).pack(folders, options),
      ),
      fetchCommand().action(async (targets, options) =>
        (await import('./actions/fetch.ts')).fetchReleases(targets, options),
      ),
    ],
    'Carry releases:': [
      exportCommand().action(async (medium, targets, options) =>
        (await import('./actions/export.ts')).exportReleases(medium, targets, options),
      ),
      inventoryCommand().action(async (options) =>
        (await import('./actions/inventory.ts')).inventory(options),
      ),
      syncCommand().action(async (from, to, options) =>
        (await import('./actions/sync.ts')).sync(from, to, options),
      ),
    ],
    'Serve nodes:': [
      serveCommand().action(async (options) =>
        (await import('./actions/serve.ts')).serveStore(options, buildInfo()),
      ),
      healthCommand().action(async (options) => (await import('./actions/health.ts')).health(options)),
      slaposCfgCommand().action(async (options) =>
        (await import('./actions/slapos-cfg.ts')).slaposCfg(options),
      ),
    ],
    'Look at it:': [
      listCommand().action(async (options) => (await import('./actions/list.ts')).list(options)),
      lookupCommand().action(async (target, options) =>
        (await import('./actions/lookup.ts')).lookup(target, options),
      ),
      checkCommand().action(async (urls, options) =>
        (await import('./actions/check.ts')).check(urls, options),
      ),
      logCommand().action(async (options) => (await import('./actions/log.ts')).log(options)),
      configCommand()
        .action(async (options) => (await import('./actions/config.ts')).showConfig(options))
        .addCommand(
          configCheckCommand().action(async (file, options) =>
            (await import('./actions/config.ts')).checkConfig(file, options),
          ),
        ),
    ],
    'Keep it sound:': [
      verifyCommand().action(async (options) => (await import('./actions/verify.ts')).verify(options)),
      removeCommand().action(async (targets, options) =>
        (await import('./actions/remove.ts')).remove(targets, options),
      ),
      gcCommand().action(async (options) => (await import('./actions/gc.ts')).gc(options)),
      trustCommand()
        .addCommand(
          trustListCommand().action(async (options) =>
            (await import('./actions/trust.ts')).listTrust(options),
          ),
        )
        .addCommand(
          trustAddCommand().action(async (certs, options) =>
            (await import('./actions/trust.ts')).addTrust(certs, options),
          ),
        )
        .addCommand(
          trustRemoveCommand().action(async (certs, options) =>
            (await import('./actions/trust.ts')).removeTrust(certs, options),
          ),
        ),
    ],
    'Help:': [
      helpCommand().action((names) => {
        showHelp(program, names);
      }),
      versionCommand().action(async (options) =>
        (await import('./actions/version.ts')).showVersion(options, buildInfo()),
      ),
      completionCommand().action(async (shell, words) =>
        (await import('./actions/completion.ts')).complete(program, shell, words),
      ),
    ],
  };
}

/** Gives a command the options that stand before it; what stands after it counts more. */
function passOptions(from: CommandUnknownOpts, command: CommandUnknownOpts): void {
  for (const option of from.options) {
    const name = option.attributeName();
    if (from.getOptionValueSource(name) !== 'cli') continue;
    if (!command.options.some((own) => own.attributeName() === name))
      command.error(`error: unknown option '${option.long ?? ''}'`, { code: 'commander.unknownOption' });
    if (command.getOptionValueSource(name) !== 'cli')
      command.setOptionValueWithSource(name, from.getOptionValue(name), 'cli');
  }
}

/** @throws CacheError `usage` */
function showHelp(program: CommandUnknownOpts, names: readonly string[]): void {
  let command = program;
  for (const name of names) {
    const part = command.commands.find((candidate) => candidate.name() === name);
    if (part === undefined) throw unknownCommand(command, name);
    command = part;
  }
  command.outputHelp();
}
