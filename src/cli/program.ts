import { Command, Help, InvalidArgumentError } from 'commander';
import { readFileSync } from 'node:fs';
import { SOFTWARE_ROOT } from '../cache/software-root.ts';
import type { CommonOptions } from './common-options.ts';
import { tellWhenBrokenOff } from './interruption.ts';
import type { ExportOptions } from './commands/export.ts';
import type { CheckOptions } from './commands/check.ts';
import type { GcOptions } from './commands/gc.ts';
import type { ImportOptions } from './commands/import.ts';
import type { FetchOptions } from './commands/fetch.ts';
import type { InitOptions } from './commands/init.ts';
import type { KeygenOptions } from './commands/keygen.ts';
import type { ListOptions } from './commands/list.ts';
import type { LogOptions } from './commands/log.ts';
import type { LookupOptions } from './commands/lookup.ts';
import type { PackOptions } from './commands/pack.ts';
import type { RemoveOptions } from './commands/remove.ts';
import type { ServeOptions } from './commands/serve.ts';
import type { SlaposCfgOptions } from './commands/slapos-cfg.ts';
import type { VerifyOptions } from './commands/verify.ts';
import type { SyncOptions } from './commands/sync.ts';
import { withoutControls } from '../cache/controls.ts';

/**
 * The command line. It is known in full before any command's code is loaded: `--help` and wrong options answer at once.
 */
export function createProgram(): Command {
  const program = new Command('cache')
    .description(
      'Offline binary cache for SlapOS: imports archives of compiled software, signs them and serves them.',
    )
    .version(programVersion())
    .configureHelp({
      showGlobalOptions: true,
      // All have some: without the word there is room for what they do.
      subcommandTerm: (command) => new Help().subcommandTerm(command).replace(' [options]', ''),
    })
    .showHelpAfterError('(see --help)')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 done in part or not found, 2 wrong usage or configuration,\n3 storage or network failed, 130 broken off by Ctrl-C (143 by SIGTERM).',
    )
    .hook('preAction', (_program, action) => {
      tellWhenBrokenOff(action.name());
    })
    .configureOutput({
      writeOut: (text) => process.stdout.write(withoutControls(text)),
      writeErr: (text) => process.stderr.write(withoutControls(text)),
    })
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
    'Make a medium or a site: its folders, a store, a signing key and a config.ini.',
    'cache init /mnt/device',
  )
    .argument('[dir]', 'its folder; what is there is kept. With --config instead: only makes the store')
    .option('--common-name <name>', 'name in the certificate')
    .option(
      '--trust <cert>',
      'PEM file of certificates whose signatures count besides, such as the sign.crt of a medium; may be repeated',
      collect,
    )
    .option('--no-key', 'make no signing key: for who serves, and only imports what others have signed')
    .addHelpText(
      'after',
      '\nOffline, on the machine that serves:\n  cache init /srv/shacache --no-key --trust /mnt/device/miscellaneous/sign.crt',
    )
    .option('--json', 'print the result as JSON')
    .action(async (dir: string | undefined, options: InitOptions) =>
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
    .argument(
      '<path...>',
      'media that cache export wrote; folders or archives: .tar.gz .tgz .tar.bz2 .tar.xz .tar, told by content',
    )
    .option('--url <url>', 'software URL of the one archive that is named')
    .option(
      '--os <id-version>',
      'system it was built for, such as ubuntu-22.04 (default: told by the file name)',
    )
    .option(
      '--multiarch <name>',
      'machine it was built for, such as x86_64-linux-gnu (default: told by the programs inside)',
    )
    .option('--software-root <folder>', `where it was built and must be unpacked (default: ${SOFTWARE_ROOT})`)
    .option('--recheck', 'read archives again that were imported before and have not changed since')
    .option('--accept-older', 'take a medium although a newer one of the same origin was imported')
    .option('-n, --dry-run', 'check everything and write nothing')
    .option('--json', 'print the result as JSON')
    .action(async (paths: readonly string[], options: ImportOptions) =>
      (await import('./commands/import.ts')).importPaths(paths, options),
    );

  command(
    'pack',
    'Make archives of software releases that were compiled here, and import them.',
    'cache pack -c /mnt/device/config.ini /opt/slapgrid/16d47c5ab38233146f11c11abdd14575',
  )
    .argument('<folder...>', 'folders of the software root, each named by the md5 of its software URL')
    .option(
      '-o, --output <dir>',
      'where to write the archives (default: software/ beside the configuration, or ./software)',
    )
    .option('--force', 'pack releases that slapgrid would not hand on: without .completed, or with .shared')
    .option('--url <url>', 'software URL of the one folder that is named (default: told by its buildout.cfg)')
    .option(
      '--os <id-version>',
      'system it was built for, such as ubuntu-22.04 (default: that of this machine)',
    )
    .option(
      '--multiarch <name>',
      'machine it was built for, such as x86_64-linux-gnu (default: told by the programs inside)',
    )
    .option('--software-root <folder>', 'where it must be unpacked (default: where it was built)')
    .option('--no-import', 'write the archives only, sign nothing and leave the store alone')
    .option('--json', 'print the result as JSON')
    .action(async (folders: readonly string[], options: PackOptions) =>
      (await import('./commands/pack.ts')).pack(folders, options),
    );

  command(
    'fetch',
    'Fetch releases from the upstream, as they were signed there, and put them into the store.',
    'cache fetch https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg',
  )
    .argument('<url|key...>', 'software URLs, or keys such as pypi:NAME=VERSION')
    .option('--os <id-version>', 'fetch for this system instead of that of this machine')
    .option('--multiarch <name>', 'fetch for this machine instead')
    .option('--all-platforms', 'fetch for every platform that there is')
    .option(
      '--server <base>',
      'fetch from the cache at this URL, such as http://192.168.32.10:5050, instead of [upstream]',
    )
    .option('--ca <file>', 'PEM certificates that sign that of the server, or its own if it signed itself')
    .option('--resign', "sign with the site's key besides, for nodes that trust only its certificate")
    .option('-n, --dry-run', 'show what would be fetched and write nothing')
    .option('--json', 'print the result as JSON')
    .action(async (targets: readonly string[], options: FetchOptions) =>
      (await import('./commands/fetch.ts')).fetchReleases(targets, options),
    );

  command(
    'sync',
    'Copy what one place has and another lacks: stores, media, running caches.',
    'cache sync /mnt/device http://builder:PASSWORD@192.168.32.10:5050',
  )
    .argument('<from>', 'folder of a store, a medium that cache export wrote, or URL of a running cache')
    .argument(
      '<to>',
      'folder of a store, which is made if there is none, or URL of a cache that takes uploads',
    )
    .option('--ca <file>', 'PEM certificates that sign those of the servers, or their own')
    .option('--accept-older', 'take a medium although a newer one of the same origin was imported')
    .option('-n, --dry-run', 'show what would be copied and write nothing')
    .option('--json', 'print the result as JSON')
    .action(async (from: string, to: string, options: SyncOptions) =>
      (await import('./commands/sync.ts')).sync(from, to, options),
    );

  command(
    'export',
    'Write releases of the store to a medium, with a signed manifest.',
    'cache export /mnt/device --missing-from have.json',
  )
    .argument('<medium>', 'folder where the medium is mounted; what is there and sound is kept')
    .argument('[url|key...]', 'software URLs or keys (default: all that the store has)')
    .option('--missing-from <file>', 'leave out what this inventory of the other side has')
    .option(
      '--split <size>',
      'split larger blobs into parts of this size, such as 2G (default: as the file system needs)',
    )
    .option('--no-verify', 'do not read back what was written')
    .option('--recheck', 'read what earlier exports wrote, too, and mend it')
    .option('-n, --dry-run', 'tell what would be written and write nothing')
    .option('--json', 'print the result as JSON')
    .action(async (medium: string, targets: readonly string[], options: ExportOptions) =>
      (await import('./commands/export.ts')).exportReleases(medium, targets, options),
    );

  command(
    'inventory',
    'List what the store has, signed if the site has a key, for cache export --missing-from.',
    'cache inventory > have.json',
  ).action(async (options: CommonOptions) => (await import('./commands/inventory.ts')).inventory(options));

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
      (await import('./commands/serve.ts')).serveStore(options, programVersion()),
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
    .option('--ca <file>', 'PEM certificates that sign that of the server, or its own if it signed itself')
    .option('--os <id-version>', 'compare with this system instead of this machine')
    .option('--multiarch <name>', 'compare with this machine instead')
    .option('--json', 'print the result as JSON')
    .action(async (target: string, options: LookupOptions) =>
      (await import('./commands/lookup.ts')).lookup(target, options),
    );

  command(
    'check',
    'Tell whether nodes can install releases, and what is missing where they can not.',
    'cache check --file releases.txt --server http://192.168.32.10:5050',
  )
    .argument('[url...]', 'software URLs')
    .option(
      '--file <list>',
      'a file with a URL a line, # for comments, - for stdin; may be repeated',
      collect,
    )
    .option(
      '--server <base>',
      'ask the cache at this URL, such as http://192.168.32.10:5050, instead of the store',
    )
    .option('--ca <file>', 'PEM certificates that sign that of the server, or its own if it signed itself')
    .option('--os <id-version>', 'for nodes with this system instead of that of this machine')
    .option('--multiarch <name>', 'for nodes of this kind instead')
    .option('--deep', 'read every blob, from the server too, and compare its sha512')
    .option('--json', 'print the result as JSON')
    .action(async (urls: readonly string[], options: CheckOptions) =>
      (await import('./commands/check.ts')).check(urls, options),
    );

  command('list', 'Show the software releases in the store.', 'cache list')
    .option('--json', 'print the result as JSON')
    .action(async (options: ListOptions) => (await import('./commands/list.ts')).list(options));

  command('log', 'Show who did what to the store and when, the newest last.', 'cache log --since 7d')
    .option(
      '--since <date|days>',
      'only since this date, such as 2026-11-20 or 2026-11-20T21:34 (UTC), or so long ago: 7, 12h',
    )
    .option('--key <url|key>', 'only what concerns this software URL or key')
    .option('-n, --lines <number>', 'only the last ones')
    .option('--json', 'print each record as a line of JSON')
    .action(async (options: LogOptions) => (await import('./commands/log.ts')).log(options));

  command(
    'verify',
    'Look for damage in the store; mend it where that is asked for.',
    'cache verify --deep --heal-from /mnt/device --heal-from http://192.168.32.11:5050',
  )
    .option('--deep', 'read every blob, and compare its sha512')
    .option('--since <days>', 'only what came within so many days')
    .option('--rate <size>', 'read at most so many bytes a second, such as 50M (default: as fast as it goes)')
    .option(
      '--repair',
      'move what is bad, and can not be healed, to quarantine/ in the store; remove leftovers',
    )
    .option(
      '--heal-from <place>',
      'fetch good copies from this medium, folder of a store, or URL of a running cache; may be repeated',
      collect,
    )
    .option('--ca <file>', 'PEM certificates that sign that of the server, or its own if it signed itself')
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      '\nEnds with 1 when anything is wrong, and with 0 when all of it was mended:\nhealed, or no more than strays and leftovers that --repair took away. A release\nthat it put away is missing, which is 1.',
    )
    .action(async (options: VerifyOptions) => (await import('./commands/verify.ts')).verify(options));

  command(
    'remove',
    'Remove releases from the store: their entries, and the blobs that no other entry names.',
    'cache remove --os ubuntu-20.04 https://lab.nexedi.com/nexedi/slapos/raw/1.0.300/software/kvm/software.cfg',
  )
    .argument('<url|key...>', 'software URLs, or keys such as pypi:NAME=VERSION')
    .option('--os <id-version>', 'only those for this system')
    .option('--multiarch <name>', 'only those for this machine')
    .option('-n, --dry-run', 'show what would be removed and remove nothing')
    .option('--json', 'print the result as JSON')
    .action(async (targets: readonly string[], options: RemoveOptions) =>
      (await import('./commands/remove.ts')).remove(targets, options),
    );

  command(
    'gc',
    'Remove what the store does not need: superseded entries with their blobs, and old leftovers.',
    'cache gc --dry-run --keep 2',
  )
    .option('--keep <number>', 'builds to keep of each release for each platform and signer', '1')
    .option('--grace <duration>', 'keep blobs that are younger: their entries may be on their way', '24h')
    .option('--unnamed', 'also remove blobs that no entry names, such as uploads without a key')
    .option('--allow-empty', 'with --unnamed: remove blobs although the store has no entry left')
    .option('-n, --dry-run', 'show what would be removed and remove nothing')
    .option('--json', 'print the result as JSON')
    .action(async (options: GcOptions) => (await import('./commands/gc.ts')).gc(options));

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
