import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type InventoryOptions = OptionsOf<typeof inventoryCommand>;

export const inventoryCommand = () =>
  command(
    'inventory',
    'List the contents of the store for cache export --missing-from; signed if the site has a key.',
    'cache inventory > have.json',
  ).addOption(json('print errors as JSON, too: an inventory always is JSON'));
