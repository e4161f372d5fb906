import { command } from '../command.ts';

export const inventoryCommand = () =>
  command(
    'inventory',
    'List what the store has, signed if the site has a key, for cache export --missing-from.',
    'cache inventory > have.json',
  );
