import { command, type OptionsOf } from '../command.ts';

export type LogOptions = OptionsOf<typeof logCommand>;

export const logCommand = () =>
  command('log', 'Show who did what to the store and when, the newest last.', 'cache log --since 7d')
    .option(
      '--since <date|days>',
      'only since this date and time ("2026-11-20", "2026-11-20 21:34 UTC"), or this time span: 7d, 12h',
    )
    .option('--key <url|key>', 'only what concerns this software URL or key')
    .option('-n, --lines <number>', 'only the last ones')
    .option('--json', 'print each record as a line of JSON');
