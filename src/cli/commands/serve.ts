import { command, type OptionsOf } from '../command.ts';
import { collect, json, logFormat } from '../options.ts';

export type ServeOptions = OptionsOf<typeof serveCommand>;

export const serveCommand = () =>
  command(
    'serve',
    'Serve the store over HTTP and HTTPS.',
    'cache serve --import /mnt/device --listen "[::]:5050"',
    {
      argument: 'to import it first: cache serve --import ARG',
      options: { '--port': 'use --listen HOST:PORT', '--host': 'use --listen HOST:PORT' },
    },
  )
    .option('--import [path...]', 'import these media, folders or archives first')
    .option(
      '-l, --listen <host:port>',
      'listen here instead of at the configured addresses; may be repeated',
      collect,
    )
    .addOption(logFormat())
    .addOption(json('when it listens, print the addresses and the result of the import as one line of JSON'))
    .addHelpText('after', '\nWith -q the log has no requests.');
