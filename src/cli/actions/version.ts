import { formatPlatform } from '../../cache/platform.ts';
import { readMachine } from '../../operations/this-machine.ts';
import type { BuildInfo } from '../build-info.ts';
import type { VersionOptions } from '../commands/version.ts';
import { printJson } from '../json-output.ts';
import { createTerminal } from '../terminal/terminal.ts';

export async function showVersion(
  { json, quiet = false }: VersionOptions,
  { version, commit }: BuildInfo,
): Promise<void> {
  const terminal = createTerminal({ quiet });
  const { os, multiarch } = await readMachine();
  const platform = { multiarch, os };
  const node = process.versions.node;
  if (json)
    printJson('version', { version, ...(commit === undefined ? {} : { commit }), node, platform }, terminal);
  else
    terminal.print(
      [
        `shacache  ${version}`,
        `Node      ${node}`,
        ...(commit === undefined ? [] : [`commit    ${commit}`]),
        `platform  ${formatPlatform(platform)}`,
      ].join('\n'),
    );
}
