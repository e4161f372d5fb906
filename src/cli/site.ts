import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { isSea } from 'node:sea';
import { CacheError } from '../cache/errors.ts';
import { parseOs, type Platform } from '../cache/platform.ts';
import { STORE_FILE } from '../cache/layout.ts';
import { loadConfig, type ConfigSearch } from '../config/config-file.ts';
import type { Config } from '../config/config.ts';
import { isWithin, realPathOf } from '../operations/is-within.ts';
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
  const search = configSearch(option);
  const config = await loadConfig(search);
  await checkKeyIsInside(config, folderOfSearch(config, search));
  return config;
}

/** Where this process searches its configuration. @param option the value of `-c` */
export function configSearch(option: string | undefined): ConfigSearch {
  const folder = dirname(process.execPath);
  const isOnMedium = isSea() && existsSync(join(folder, 'store', STORE_FILE));
  return { option, env: process.env, cwd: process.cwd(), medium: isOnMedium ? folder : undefined };
}

/** The folder that a configuration which was not named must keep to. */
export function folderOfSearch({ file }: Config, { cwd, medium }: ConfigSearch): string {
  return medium !== undefined && file !== undefined && dirname(file) === medium ? medium : cwd;
}

/**
 * The current folder may be a medium that was in other hands: unless the configuration was named, it must not have this
 * site sign, by a path or by a link.
 * @throws CacheError `config`
 */
export async function checkKeyIsInside(
  { file, isOfFolder, signature }: Config,
  folder: string,
): Promise<void> {
  if (file !== undefined && !isOfFolder) return;
  const key = signature.privateKeyFile;
  const path = await realPathOf(key);
  if (isWithin(path, await realPathOf(folder))) return;
  throw new CacheError(
    'config',
    file === undefined
      ? `${key} leads to ${path}, which is outside the current folder; name a configuration with -c`
      : `${file}: [signature] private-key-file = ${path} is outside the current folder, where this configuration was found; to use it anyway: -c ${file}`,
  );
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
