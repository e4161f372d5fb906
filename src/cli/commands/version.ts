import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type VersionOptions = OptionsOf<typeof versionCommand>;

export const versionCommand = () =>
  command(
    'version',
    'Show the version and commit of the program, the version of Node, and the platform.',
    'cache version --json',
  ).addOption(json());
