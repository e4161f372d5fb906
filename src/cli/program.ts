import { Command, InvalidArgumentError } from 'commander';
import { readFileSync } from 'node:fs';
import type { ImportOptions } from './commands/import.ts';
import type { InitOptions } from './commands/init.ts';
import type { KeygenOptions } from './commands/keygen.ts';
import type { ListOptions } from './commands/list.ts';
import type { LookupOptions } from './commands/lookup.ts';
import type { ServeOptions } from './commands/serve.ts';
import type { SlaposCfgOptions } from './commands/slapos-cfg.ts';

/**
 * The command line. It is known in full before any command's code is loaded: `--help` and wrong options answer at once.
 */
export function createProgram(): Command {
  const program = new Command('cache')
    .description(
      'Offline binary cache for SlapOS: imports archives of compiled software, signs them and serves them.',
    )
    .version(programVersion())
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(see --help)')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 done in part or not found, 2 wrong usage or configuration, 3 storage failed.',
    )
    .exitOverride();

  const command = (name: string, description: string, example: string): Command =>
    program
      .command(name)
      .description(description)
      .option(
        '-c, --config <file>',
        'configuration (default: $SHACACHE_CONFIG, ./config.ini, /etc/shacache/config.ini)',
      )
      .option('-q, --quiet', 'say nothing but results and errors')
      .addHelpText('after', `\nExample:\n  ${example}`);

  command(
    'init',
    'Make a medium: its folders, a store, a signing key and a config.ini.',
    'cache init /mnt/device',
  )
    .argument('<dir>', 'folder of the medium; what is there is kept')
    .option('--common-name <name>', 'name in the certificate')
    .option('--json', 'print the result as JSON')
    .action(async (dir: string, options: InitOptions) =>
      (await import('./commands/init.ts')).init(dir, options),
    );

  command('keygen', 'Make a signing key and its certificate.', 'cache keygen -c /etc/shacache/config.ini')
    .option('--common-name <name>', 'name in the certificate')
    .option('--json', 'print the result as JSON')
    .action(async (options: KeygenOptions) => (await import('./commands/keygen.ts')).keygen(options));

  command(
    'import',
    'Check archives of compiled software, sign them and put them into the store.',
    'cache import /mnt/device/software',
  )
    .argument('<path...>', 'folders or archives: .tar.gz .tgz .tar.bz2 .tar.xz .tar, told by content')
    .option('--url <url>', 'software URL of the one archive that is named')
    .option(
      '--os <id-version>',
      'system it was built for, such as ubuntu-22.04 (default: told by the file name)',
    )
    .option(
      '--multiarch <name>',
      'machine it was built for, such as x86_64-linux-gnu (default: told by the programs inside)',
    )
    .option('--software-root <folder>', 'where it was built and must be unpacked', '/opt/slapgrid')
    .option('--quick', 'look into the archives only until URL and platform are known: damage may stay unseen')
    .option('--recheck', 'read archives again that were imported before and have not changed since')
    .option('-n, --dry-run', 'check everything and write nothing')
    .option('--json', 'print the result as JSON')
    .action(async (paths: readonly string[], options: ImportOptions) =>
      (await import('./commands/import.ts')).importPaths(paths, options),
    );

  command(
    'serve',
    'Serve the store over HTTP.',
    'cache serve --import /mnt/device/software --listen "[::]:5050"',
  )
    .option('--import [path...]', 'import these folders or archives first')
    .option(
      '-l, --listen <host:port>',
      'listen here instead of where the configuration says; may be repeated',
      collect,
    )
    .action(async (options: ServeOptions) =>
      (await import('./commands/serve.ts')).serve(options, programVersion()),
    );

  command(
    'lookup',
    'Show the entries of a software URL or key, as a node would see them.',
    'cache lookup https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg',
  )
    .argument('<url|key>', 'software URL, or a key such as pypi:NAME=VERSION')
    .option(
      '--server <base>',
      'ask the cache at this URL, such as http://192.168.32.10:5050, instead of the store',
    )
    .option('--os <id-version>', 'compare with this system instead of this machine')
    .option('--multiarch <name>', 'compare with this machine instead')
    .option('--json', 'print the result as JSON')
    .action(async (target: string, options: LookupOptions) =>
      (await import('./commands/lookup.ts')).lookup(target, options),
    );

  command('list', 'Show the software releases in the store.', 'cache list')
    .option('--json', 'print the result as JSON')
    .action(async (options: ListOptions) => (await import('./commands/list.ts')).list(options));

  command(
    'slapos-cfg',
    'Print the [networkcache] section for the slapos.cfg of nodes.',
    'cache slapos-cfg --url http://192.168.32.10:5050 >> /etc/opt/slapos/slapos.cfg',
  )
    .option(
      '--url <base>',
      'URL of the cache as nodes reach it (default: public-url, or an address of this machine)',
    )
    .option(
      '--force-binary',
      'make nodes fail at once, rather than compile, when a release of this store is not to be had',
    )
    .action(async (options: SlaposCfgOptions) =>
      (await import('./commands/slapos-cfg.ts')).slaposCfg(options),
    );

  return program;
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  if (value === '') throw new InvalidArgumentError('it is empty.');
  return [...(previous ?? []), value];
}

function programVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
