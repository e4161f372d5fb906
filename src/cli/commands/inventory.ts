import { command } from '../command.ts';

export const inventoryCommand = () =>
  command(
    'inventory',
    'List the contents of the store for cache export --missing-from; signed if the site has a key.',
    'cache inventory > have.json',
  );
