import { command, type OptionsOf } from '../command.ts';
import { commonName, json } from '../options.ts';

export type KeygenOptions = OptionsOf<typeof keygenCommand>;

export const keygenCommand = () =>
  command('keygen', 'Make a signing key and its certificate.', 'cache keygen -c /etc/shacache/config.ini')
    .addOption(commonName())
    .addOption(json());
