import { formatPlatform } from '../../cache/platform.ts';
import { readMachine } from '../../operations/this-machine.ts';
import type { VersionOptions } from '../commands/version.ts';
import { printJson } from '../json-output.ts';
import { createTerminal } from '../terminal/terminal.ts';

/** @param version of this program */
export async function showVersion({ json, quiet = false }: VersionOptions, version: string): Promise<void> {
  const terminal = createTerminal({ quiet });
  const { os, multiarch } = await readMachine();
  const platform = { multiarch, os };
  const node = process.versions.node;
  if (json) printJson('version', { version, node, platform }, terminal);
  else terminal.print(`shacache  ${version}\nNode      ${node}\nplatform  ${formatPlatform(platform)}`);
}
