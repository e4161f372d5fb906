import { command, type OptionsOf } from '../command.ts';

export type LogOptions = OptionsOf<typeof logCommand>;

export const logCommand = () =>
  command('log', 'Show who changed the store, and when.', 'cache log --since 7d')
    .option(
      '--since <date|duration>',
      'show only records since this date ("2026-11-20", "2026-11-20 21:34 UTC"), or within this time, such as 7d or 12h',
    )
    .option('--key <url|name|key>', 'show only records of this software URL, NAME@VERSION, or key')
    .option('-n, --lines <number>', 'show only the last NUMBER records')
    .option('--json', 'print each record as a line of JSON');
