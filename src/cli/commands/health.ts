import { command, type OptionsOf } from '../command.ts';
import { ca, json } from '../options.ts';

export type HealthOptions = OptionsOf<typeof healthCommand>;

export const healthCommand = () =>
  command(
    'health',
    'Test whether a server answers, and show its version.',
    'cache health --server http://192.168.32.10:5050',
  )
    .option('--server <url>', 'ask the cache at this URL (default: the server of this machine)')
    .addOption(ca())
    .addOption(json())
    .addHelpText('after', '\nIt asks /health, as monitoring does, and ends with 3 without an answer.');
