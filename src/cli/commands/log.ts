import { command, type OptionsOf } from '../command.ts';

export type LogOptions = OptionsOf<typeof logCommand>;

export const logCommand = () =>
  command('log', 'Show who did what to the store and when, the newest last.', 'cache log --since 7d')
    .option(
      '--since <date|days>',
      'only since this date, such as 2026-11-20 or 2026-11-20T21:34 (UTC), or so long ago: 7, 12h',
    )
    .option('--key <url|key>', 'only what concerns this software URL or key')
    .option('-n, --lines <number>', 'only the last ones')
    .option('--json', 'print each record as a line of JSON');
