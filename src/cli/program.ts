import { Command, Help } from '@commander-js/extra-typings';
import { readFileSync } from 'node:fs';
import { withoutControls } from '../cache/controls.ts';
import { checkCommand } from './commands/check.ts';
import { configCheckCommand, configCommand } from './commands/config.ts';
import { exportCommand } from './commands/export.ts';
import { fetchCommand } from './commands/fetch.ts';
import { gcCommand } from './commands/gc.ts';
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
import { tellWhenInterrupted } from './interruption.ts';

/**
 * The command line: the declarations in `commands/`, each with its code in `actions/`. Only running a command loads its
 * code: `--help` and wrong options answer at once.
 * @param isSilent leaves the messages about wrong options to the caller
 */
export function createProgram({ isSilent = false }: { readonly isSilent?: boolean } = {}): Command {
  const program = new Command('cache')
    .description(
      'Offline binary cache for SlapOS: imports archives of compiled software, signs them and serves them.',
    )
    .version(programVersion())
    .configureHelp({
      showGlobalOptions: true,
      // Every command has options: omitting the word leaves room for the descriptions.
      subcommandTerm: (command) => new Help().subcommandTerm(command).replace(' [options]', ''),
    })
    .showHelpAfterError('(see --help)')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 done in part or not found, 2 wrong usage or configuration,\n3 storage or network failed, 130 interrupted by Ctrl-C (143 by SIGTERM).',
    )
    .hook('preAction', (_program, action) => {
      tellWhenInterrupted(action.name());
    })
    .configureOutput({
      writeOut: (text) => process.stdout.write(withoutControls(text)),
      writeErr: (text) => isSilent || process.stderr.write(withoutControls(text)),
    })
    .exitOverride();

  const commands = [
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
    syncCommand().action(async (from, to, options) =>
      (await import('./actions/sync.ts')).sync(from, to, options),
    ),
    exportCommand().action(async (medium, targets, options) =>
      (await import('./actions/export.ts')).exportReleases(medium, targets, options),
    ),
    inventoryCommand().action(async (options) => (await import('./actions/inventory.ts')).inventory(options)),
    serveCommand().action(async (options) =>
      (await import('./actions/serve.ts')).serveStore(options, programVersion()),
    ),
    lookupCommand().action(async (target, options) =>
      (await import('./actions/lookup.ts')).lookup(target, options),
    ),
    checkCommand().action(async (urls, options) => (await import('./actions/check.ts')).check(urls, options)),
    listCommand().action(async (options) => (await import('./actions/list.ts')).list(options)),
    logCommand().action(async (options) => (await import('./actions/log.ts')).log(options)),
    verifyCommand().action(async (options) => (await import('./actions/verify.ts')).verify(options)),
    removeCommand().action(async (targets, options) =>
      (await import('./actions/remove.ts')).remove(targets, options),
    ),
    gcCommand().action(async (options) => (await import('./actions/gc.ts')).gc(options)),
    slaposCfgCommand().action(async (options) =>
      (await import('./actions/slapos-cfg.ts')).slaposCfg(options),
    ),
    configCommand()
      .action(async (options) => (await import('./actions/config.ts')).showConfig(options))
      .addCommand(
        configCheckCommand().action(async (file, _options, self) =>
          (await import('./actions/config.ts')).checkConfig(file, self.optsWithGlobals()),
        ),
      ),
    trustCommand()
      .addCommand(
        trustListCommand().action(async (_options, self) =>
          (await import('./actions/trust.ts')).listTrust(self.optsWithGlobals()),
        ),
      )
      .addCommand(
        trustAddCommand().action(async (certs, _options, self) =>
          (await import('./actions/trust.ts')).addTrust(certs, self.optsWithGlobals()),
        ),
      )
      .addCommand(
        trustRemoveCommand().action(async (certs, _options, self) =>
          (await import('./actions/trust.ts')).removeTrust(certs, self.optsWithGlobals()),
        ),
      ),
  ];
  for (const command of commands) {
    program.addCommand(command.copyInheritedSettings(program));
    for (const part of command.commands) part.copyInheritedSettings(program);
  }
  return program;
}

function programVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
