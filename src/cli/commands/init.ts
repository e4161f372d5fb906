import { command, type OptionsOf } from '../command.ts';
import { collect, commonName, json } from '../options.ts';

export type InitOptions = OptionsOf<typeof initCommand>;

export const initCommand = () =>
  command('init', 'Make a site or medium: folders, store, signing key, config.ini.', 'cache init /mnt/device')
    .argument('[dir]', 'its folder; existing files are kept. With --config instead: only makes the store')
    .addOption(commonName())
    .option(
      '--trust <cert>',
      'PEM file of further certificates to trust, such as the sign.crt of a medium; may be repeated',
      collect,
    )
    .option(
      '--program <file>',
      'put this executable of the program on the medium; may be repeated, for other architectures (default: this one, if it is an executable)',
      collect,
    )
    .option('--no-key', 'make no signing key: for a site that only imports signed media and serves them')
    .addOption(json())
    .addHelpText(
      'after',
      '\nOffline, on the machine that serves:\n  cache init /srv/shacache --no-key --trust /mnt/device/miscellaneous/sign.crt',
    );
