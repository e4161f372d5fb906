import { command } from '../command.ts';

export const helpCommand = () =>
  command('help', 'Show the options and an example of a command.', 'cache help import').argument(
    '[command...]',
    'name of a command (default: list all commands)',
  );
