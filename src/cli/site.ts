import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { isSea } from 'node:sea';
import { parseOs, type Platform } from '../cache/platform.ts';
import { STORE_FILE } from '../cache/layout.ts';
import { loadConfig, type ConfigSearch } from '../config/config-file.ts';
import type { Config } from '../config/config.ts';
import { checkKeyIsInside } from '../operations/check-paths.ts';
import { createSite, type Site } from '../operations/site.ts';
import { readMachine } from '../operations/this-machine.ts';
import type { CommonOptions } from './command.ts';
import type { LookupOptions } from './commands/lookup.ts';
import { checkMultiarch, parseOption } from './parse-option.ts';
import { createTerminal, type Terminal } from './terminal/terminal.ts';

/** The site of a command, and its terminal. */
export interface CommandSite extends Site {
  readonly terminal: Terminal;
}

/** @throws CacheError `config` */
export async function openSite({
  config: file,
  quiet = false,
  json = false,
}: CommonOptions & { readonly json?: boolean }): Promise<CommandSite> {
  const terminal = createTerminal({ quiet, json });
  return { ...createSite(await readConfig(file), terminal), terminal };
}

/** The same for a command that works on the store of the site: it names the store before its first use. */
export async function openStoreSite(options: CommonOptions): Promise<CommandSite> {
  const site = await openSite(options);
  let isTold = false;
  const telling = <Result>(use: () => Result): Result => {
    if (!isTold) tellDefaultStore(site);
    isTold = true;
    return use();
  };
  return {
    ...site,
    store: (use) => telling(() => site.store(use)),
    trusted: () => telling(() => site.trusted()),
    ownTrusted: () => telling(() => site.ownTrusted()),
    signer: () => telling(() => site.signer()),
  };
}

/** Names the store if no configuration does: the person may be in the wrong folder. */
export function tellDefaultStore({ config, location, messages }: Site): void {
  const cwd = process.cwd();
  if (config.file === undefined)
    messages.tell(`using ./${relative(cwd, location)}: no config.ini found in ${cwd}`);
}

/** @throws CacheError `config` */
export async function readConfig(option: string | undefined): Promise<Config> {
  const config = await loadConfig(configSearch(option));
  await checkKeyIsInside(config);
  return config;
}

/** Where this process searches its configuration. @param option the value of `-c` */
export function configSearch(option: string | undefined): ConfigSearch {
  const folder = dirname(process.execPath);
  const isOnMedium = isSea() && existsSync(join(folder, 'store', STORE_FILE));
  return { option, env: process.env, cwd: process.cwd(), medium: isOnMedium ? folder : undefined };
}

/** Options that name another machine. */
export type MachineOptions = Pick<LookupOptions, 'os' | 'multiarch'>;

/** The machine that the options name; by default this one. @throws CacheError `usage` */
export async function machineOf({ os, multiarch }: MachineOptions): Promise<Platform> {
  const system = os === undefined ? undefined : parseOption('--os', () => parseOs(os));
  checkMultiarch(multiarch);
  if (system !== undefined && multiarch !== undefined) return { os: system, multiarch };
  const machine = await readMachine();
  return { os: system ?? machine.os, multiarch: multiarch ?? machine.multiarch };
}
