import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type ListOptions = OptionsOf<typeof listCommand>;

export const listCommand = () =>
  command('list', 'Show the software releases in the store.', 'cache list').addOption(json());
