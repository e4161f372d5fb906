import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type ListOptions = OptionsOf<typeof listCommand>;

export const listCommand = () =>
  command('list', 'Show the software releases and sources in the store.', 'cache list --sources')
    .option('--releases', 'show software releases only')
    .option('--sources', 'show sources only: keys such as pypi:NAME=VERSION')
    .addOption(json());
