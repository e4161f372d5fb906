import { constants } from 'node:fs/promises';
import { CacheError } from '../../cache/errors.ts';
import { DIRECTORY } from '../../cache/layout.ts';
import { quoteForShell } from '../../cache/shell.ts';
import type { Store } from '../../cache/store.ts';
import type { Config } from '../../config/config.ts';
import { parseListen } from '../../config/listen-address.ts';
import { commandOf, isOnlyHere } from '../../operations/command-line.ts';
import { isAccessible } from '../../operations/files.ts';
import type { Site } from '../../operations/site.ts';
import { networkcacheSection } from '../../operations/slapos-cfg.ts';
import { bestUrl, urlsOf } from '../../server/addresses.ts';
import type { OpenListener } from '../../server/listeners.ts';
import { passedSockets } from '../../server/passed-sockets.ts';
import { serve } from '../../server/serve.ts';
import { NoStore } from '../../storage/store-folder.ts';
import type { BuildInfo } from '../build-info.ts';
import type { ServeOptions } from '../commands/serve.ts';
import { EXIT } from '../exit-code.ts';
import {
  findSources,
  importedJson,
  printImported,
  runImport,
  type Imported,
  type ImportSources,
} from '../import-run.ts';
import { interruptImport } from '../interruption.ts';
import { printJson } from '../json-output.ts';
import { parseOption } from '../parse-option.ts';
import { openSite, type CommandSite } from '../site.ts';
import { formatTable } from '../terminal/table.ts';

export async function serveStore(options: ServeOptions, build: BuildInfo): Promise<void> {
  const { listen, quiet = false, json = false, logFormat } = options;
  const site = await openSite(options);
  const { server } = site.config;
  const tls = server.tls.mode !== 'off';
  const sockets = passedSockets(process.env, { tls });
  if (sockets.length > 0 && listen !== undefined)
    throw new CacheError('usage', '--listen: systemd passes the sockets to listen on; leave out the option');
  const addresses =
    listen === undefined
      ? server.listen
      : parseOption('--listen', () => parseListen(listen.join(' '), { tls }));
  const paths = Array.isArray(options.import) ? options.import : [];
  const sources = await findSources(paths, site.config);
  await checkThereIsSomething(paths, sources, site);
  // The import makes the key of the default site. The server must trust it from its start.
  if (site.config.file === undefined && sources.archives.length > 0) await site.signer();
  const imported: Imported = { media: [], archives: [], packages: [], damages: [] };
  const { signal, isPreparing } = await serve(site, {
    places: sockets.length > 0 ? sockets : addresses,
    ...build,
    log: { format: logFormat ?? (process.stderr.isTTY ? 'text' : 'json'), hasRequests: !quiet },
    prepare: (served) =>
      importFirst(sources, { quiet, json }, { ...served, terminal: site.terminal }, imported),
    onReady: async (listeners) => {
      const isFilled = await hasEntries(site);
      if (json) printWelcomeJson(listeners, imported, site);
      else if (!quiet) await printWelcome(listeners, isFilled, site);
      warnOfNothing(paths, imported, isFilled, site);
    },
  });
  // An import may be interrupted at any moment.
  if (isPreparing) interruptImport(signal);
  process.exit(EXIT.done);
}

/** A folder without an archive is a mistake, unless the store has releases that can be served. */
async function checkThereIsSomething(
  paths: readonly string[],
  { media, archives }: ImportSources,
  site: Site,
): Promise<void> {
  if (paths.length === 0 || media.length + archives.length > 0 || (await hasEntries(site))) return;
  throw new CacheError(
    'not-found',
    `nothing to serve: there is no archive and no medium in ${paths.join(', ')}, and the store ${site.location} has no entry; is the disk mounted?`,
  );
}

async function importFirst(
  sources: ImportSources,
  { quiet, json }: { readonly quiet: boolean; readonly json: boolean },
  site: CommandSite,
  imported: Imported,
): Promise<void> {
  try {
    // Of paths that have nothing at all, the last line on the screen speaks.
    const isNothing = sources.media.length + sources.archives.length === 0;
    await runImport(isNothing ? { ...sources, empty: [] } : sources, { quiet }, site, imported);
  } finally {
    if (!json) printImported(imported, site.terminal);
  }
}

/** Whether anything was ever entered: no key is listed, which may take long. */
async function hasEntries(site: Site): Promise<boolean> {
  let store: Store;
  try {
    store = await site.store('read');
  } catch (error) {
    if (error instanceof NoStore) return false;
    throw error;
  }
  for await (const { name } of store.upkeep.list('')) if (name === DIRECTORY.slice(0, -1)) return true;
  return false;
}

/** The last line on the screen, if nodes may not find what the person expects. */
function warnOfNothing(
  paths: readonly string[],
  { media, archives }: Imported,
  isFilled: boolean,
  site: CommandSite,
): void {
  const { location, config, terminal } = site;
  if (!isFilled) {
    const where = config.file === undefined ? `; no config.ini found in ${process.cwd()}` : '';
    terminal.warn(
      `cache: the store ${location} is empty${where}. Nodes get 404 and compile. To fill it: ${commandOf(elsewhere(config), 'import FOLDER')}`,
    );
  } else if (paths.length > 0 && [...media, ...archives].every(({ outcome }) => outcome === 'refused')) {
    terminal.warn(
      `cache: nothing was imported from ${paths.join(', ')}. Only what was in the store ${location} before is served.`,
    );
  }
}

function printWelcomeJson(
  listeners: readonly OpenListener[],
  imported: Imported,
  { location, terminal }: CommandSite,
): void {
  printJson(
    'serve',
    { store: location, urls: urlsOfAll(listeners), imported: importedJson(imported) },
    terminal,
  );
}

function urlsOfAll(listeners: readonly OpenListener[]): readonly string[] {
  return listeners.flatMap(({ address, port }) => urlsOf({ ...address, port }));
}

/** Few lines, which fit a small screen below the results of an import. */
async function printWelcome(
  listeners: readonly OpenListener[],
  isFilled: boolean,
  site: CommandSite,
): Promise<void> {
  const { config, location, terminal } = site;
  const urls = urlsOfAll(listeners);
  terminal.say(`Serving ${location} on ${urls.join(' ')}\n`);
  if (!isFilled) return;
  const next = [
    [commandOf(elsewhere(config), 'check URL'), 'test whether nodes can install a release'],
    [commandOf(elsewhere(config), 'list'), 'list the releases'],
  ];
  if (isOnlyHere(config))
    next.unshift([`cd ${quoteForShell(process.cwd())}`, 'go to this folder, on another terminal']);
  try {
    const base = config.server.publicUrl ?? bestUrl(urls) ?? '';
    await networkcacheSection(site, base);
    next.unshift([`curl ${base}/slapos.cfg`, 'get the section for slapos.cfg']);
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'config') throw error;
    terminal.warn(`cache: ${error.message}`);
  }
  terminal.print(formatTable(['Next:', ''], next));
  const key = config.signature.privateKeyFile;
  if (await isAccessible(key, constants.R_OK))
    terminal.tell(
      `note: the signing key is on this machine: ${key}\nIts holder decides what nodes run as root. A server needs no key: see "The signing key" in docs/security.md.`,
    );
}

/** For a command that is typed on another terminal, which may be in another folder. */
function elsewhere({ file, isNamed, isOfFolder }: Config): Pick<Config, 'file' | 'isNamed'> {
  return { file, isNamed: isNamed || isOfFolder };
}
