import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type InventoryOptions = OptionsOf<typeof inventoryCommand>;

export const inventoryCommand = () =>
  command(
    'inventory',
    'Print what the store has, for cache export --missing-from.',
    'cache inventory > have.json',
    { argument: 'to write it there: cache inventory > ARG/have.json' },
  ).addOption(json('print errors as JSON, too: an inventory always is JSON'));
