import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type ConfigOptions = OptionsOf<typeof configCommand>;

export const configCommand = () =>
  command(
    'config',
    'Show which config.ini is used, and each value with its origin.',
    'cache config -c /srv/shacache/config.ini',
  ).addOption(json());

export const configCheckCommand = () =>
  command(
    'check',
    'Check a config.ini and the files that it names; end with 2 if there is a fault.',
    'cache config check /srv/shacache/config.ini',
  )
    .argument('[file]', 'the configuration (default: as for -c)')
    .addOption(json());
