import { command, type OptionsOf } from '../command.ts';
import { dryRun, json } from '../options.ts';

export type ExportOptions = OptionsOf<typeof exportCommand>;

export const exportCommand = () =>
  command(
    'export',
    'Write releases and a signed manifest to a medium.',
    'cache export /mnt/device --missing-from have.json',
  )
    .argument('<medium>', 'folder where the medium is mounted; undamaged files are kept')
    .argument(
      '[url|name|key...]',
      'software URLs, releases as NAME@VERSION or a part of the URL, or keys (default: all releases of the store)',
    )
    .option('--missing-from <file>', 'skip releases that this inventory of the other side has')
    .option(
      '--split <size>',
      'split larger blobs into parts of this size, such as 2G or 500 MiB (default: as the file system needs)',
    )
    .option('--no-verify', 'do not read back the written files')
    .option('--no-mount-check', 'accept a folder in /mnt, /media or /run/media where nothing is mounted')
    .option('--recheck', 'also read files of earlier exports, and rewrite damaged ones')
    .addOption(dryRun('show what would be written and write nothing'))
    .addOption(json());
