import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type VersionOptions = OptionsOf<typeof versionCommand>;

export const versionCommand = () =>
  command(
    'version',
    'Show the versions of the program and of Node, and the platform.',
    'cache version --json',
  ).addOption(json());
