import { command, type OptionsOf } from '../command.ts';
import { acceptOlder, ca, directory, dryRun, json } from '../options.ts';

export type SyncOptions = OptionsOf<typeof syncCommand>;

export const syncCommand = () =>
  command(
    'sync',
    'Copy what one store, medium or cache has and another lacks.',
    'cache sync /mnt/device http://builder:PASSWORD@192.168.32.10:5050',
  )
    .argument(
      '<from>',
      'folder of a store or s3://BUCKET/PREFIX, a medium that cache export wrote, URL of a running cache, or "upstream"',
    )
    .argument(
      '<to>',
      'folder of a store or s3://BUCKET/PREFIX, which is made if it does not exist, or URL of a cache that takes uploads',
    )
    .addOption(directory('--from-dir', 'FROM'))
    .addOption(directory('--to-dir', 'TO'))
    .addOption(ca())
    .addOption(acceptOlder())
    .addOption(dryRun('show what would be copied and write nothing'))
    .addOption(json());
