import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type ListOptions = OptionsOf<typeof listCommand>;

export const listCommand = () =>
  command('list', 'List the releases and sources in the store.', 'cache list --releases')
    .option('--releases', 'show software releases only')
    .option('--sources', 'show sources only: keys such as pypi:NAME=VERSION')
    .addOption(json());
