import { SOFTWARE_ROOT } from '../../cache/software-root.ts';
import { command, type OptionsOf } from '../command.ts';
import { acceptOlder, dryRun, fromProxy, json, multiarch, os } from '../options.ts';

export type ImportOptions = OptionsOf<typeof importCommand>;

export const importCommand = () =>
  command('import', 'Verify archives or media, and put them into the store.', 'cache import /mnt/device')
    .argument(
      '<path...>',
      'media that cache export wrote; folders or archives: .tar.gz .tgz .tar.bz2 .tar.xz .tar, recognized by content',
    )
    .addOption(fromProxy())
    .option('--url <url>', 'software URL of the archive, if only one is named')
    .addOption(os('system it was built for, such as ubuntu-22.04 (default: taken from the file name)'))
    .addOption(
      multiarch(
        'machine it was built for, such as x86_64-linux-gnu (default: taken from the programs inside)',
      ),
    )
    .option('--software-root <folder>', `where it was built and must be unpacked (default: ${SOFTWARE_ROOT})`)
    .option('--recheck', 'also read archives that were imported before and have not changed since')
    .addOption(acceptOlder())
    .option('--partial', 'import the undamaged releases of a damaged medium')
    .addOption(dryRun('check everything and write nothing'))
    .addOption(json());
