import { command, type OptionsOf } from '../command.ts';
import { dryRun, json, multiarch, os } from '../options.ts';

export type RemoveOptions = OptionsOf<typeof removeCommand>;

export const removeCommand = () =>
  command(
    'remove',
    'Remove releases from the store, and free their space.',
    'cache remove --dry-run \\\n  https://lab.nexedi.com/nexedi/slapos/raw/1.0.300/software/kvm/software.cfg',
  )
    .argument(
      '<url|name|key...>',
      'software URLs, releases as NAME@VERSION, or keys such as pypi:NAME=VERSION',
    )
    .addOption(os('remove only releases for this system'))
    .addOption(multiarch('remove only releases for this machine'))
    .addOption(dryRun('show what would be removed and remove nothing'))
    .addOption(json());
