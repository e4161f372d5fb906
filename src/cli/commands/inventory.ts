import { command } from '../command.ts';

export const inventoryCommand = () =>
  command(
    'inventory',
    'Print what the store has, for cache export --missing-from.',
    'cache inventory > have.json',
  );
