import { command, type OptionsOf } from '../command.ts';
import { json, multiarch, os } from '../options.ts';

export type PackOptions = OptionsOf<typeof packCommand>;

export const packCommand = () =>
  command(
    'pack',
    'Make archives of releases compiled here, and import them.',
    'cache pack /opt/slapgrid/16d47c5ab38233146f11c11abdd14575',
  )
    .argument('<folder...>', 'folders of the software root, each named by the md5 of its software URL')
    .option(
      '-o, --output <dir>',
      'where to write the archives (default: software/ beside the configuration, or ./software)',
    )
    .option(
      '--force',
      'also pack releases that slapgrid would not upload: without .completed, or with .shared',
    )
    .option(
      '--url <url>',
      'software URL of the folder, if only one is named (default: taken from its buildout.cfg)',
    )
    .addOption(os('system it was built for, such as ubuntu-22.04 (default: the system of this machine)'))
    .addOption(
      multiarch(
        'machine it was built for, such as x86_64-linux-gnu (default: taken from the programs inside)',
      ),
    )
    .option('--software-root <folder>', 'where it must be unpacked (default: where it was built)')
    .option('--no-import', 'only write the archives: sign nothing and leave the store alone')
    .addOption(json());
