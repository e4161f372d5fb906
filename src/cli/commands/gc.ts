import { command, type OptionsOf } from '../command.ts';
import { dryRun, json } from '../options.ts';

export type GcOptions = OptionsOf<typeof gcCommand>;

export const gcCommand = () =>
  command('gc', 'Remove superseded builds and leftovers.', 'cache gc --dry-run --keep 2')
    .option('--keep <number>', 'builds to keep of each release for each platform and signer', '1')
    .option(
      '--grace <duration>',
      'keep younger blobs, such as of 12h or 7d: their entries may still arrive',
      '24h',
    )
    .option('--unnamed', 'also remove blobs that no entry names, such as uploads without a key')
    .option('--allow-empty', 'with --unnamed: remove blobs although the store has no entry left')
    .addOption(dryRun('show what would be removed and remove nothing'))
    .addOption(json());
