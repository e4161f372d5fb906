import { CacheError } from '../../cache/errors.ts';
import { DIRECTORY } from '../../cache/layout.ts';
import type { Store } from '../../cache/store.ts';
import { parseListen } from '../../config/listen-address.ts';
import type { Site } from '../../operations/site.ts';
import { formatNetworkcacheSection, networkcacheSection } from '../../operations/slapos-cfg.ts';
import { NoStore } from '../../storage/store-folder.ts';
import { bestUrl, urlsOf } from '../../server/addresses.ts';
import type { OpenListener } from '../../server/listeners.ts';
import { serve } from '../../server/serve.ts';
import type { ServeOptions } from '../commands/serve.ts';
import { EXIT } from '../exit-code.ts';
import { printImported, runImport, type Imported } from '../import-run.ts';
import { interruptImport } from '../interruption.ts';
import { parseOption } from '../parse-option.ts';
import { openSite, type CommandSite } from '../site.ts';

export async function serveStore(options: ServeOptions, version: string): Promise<void> {
  const { listen, quiet = false } = options;
  const site = await openSite(options);
  const { server, file } = site.config;
  const addresses =
    listen === undefined
      ? server.listen
      : parseOption('--listen', () => parseListen(listen.join(' '), { tls: server.tls.mode !== 'off' }));
  const isNew = file === undefined && (await lacksStore(site));
  const { signal, isPreparing } = await serve(site, {
    addresses,
    version,
    prepare: (served) => importFirst(options, { ...served, terminal: site.terminal }),
    onReady: async (listeners) => {
      if (!quiet) await printWelcome(listeners, site);
      await tellIfEmpty(site, isNew);
    },
  });
  // An import may be interrupted at any moment.
  if (isPreparing) interruptImport(signal);
  process.exit(EXIT.done);
}

async function importFirst({ import: paths, quiet = false }: ServeOptions, site: CommandSite): Promise<void> {
  if (!Array.isArray(paths)) return;
  const imported: Imported = { media: [], archives: [] };
  try {
    await runImport(paths, { quiet }, site, imported);
  } finally {
    printImported(imported, site.terminal);
  }
}

async function lacksStore(site: Site): Promise<boolean> {
  try {
    await site.store('read');
    return false;
  } catch (error) {
    if (error instanceof NoStore) return true;
    throw error;
  }
}

/** Whether anything was ever entered: no key is listed, which may take long. */
async function hasEntries({ upkeep }: Store): Promise<boolean> {
  for await (const { name } of upkeep.list('')) if (name === DIRECTORY.slice(0, -1)) return true;
  return false;
}

/** @param isNew whether the store was made at the start: perhaps the one that is meant is elsewhere */
async function tellIfEmpty(site: CommandSite, isNew: boolean): Promise<void> {
  if (await hasEntries(await site.store('read'))) return;
  const { location, config, terminal } = site;
  const consequence = 'nodes that ask get 404, and compile.';
  const toFill = `To fill it: cache import${config.file === undefined ? '' : ` -c ${config.file}`} FOLDER`;
  terminal.tell(
    isNew
      ? [
          `note: there is no config.ini in ${process.cwd()}; the store ${location} was just made and is empty: ${consequence}`,
          'If there is a store elsewhere, stop this and name its configuration: cache serve -c FILE',
          toFill,
        ].join('\n')
      : `note: the store ${location} has no entry: ${consequence} ${toFill}`,
  );
}

async function printWelcome(listeners: readonly OpenListener[], site: CommandSite): Promise<void> {
  const { config, location, terminal } = site;
  const urls = listeners.flatMap(({ address, port }) => urlsOf({ ...address, port }));
  const base = config.server.publicUrl ?? bestUrl(urls);
  if (base === undefined) return;
  terminal.print(`Serving ${location} on\n${urls.map((url) => `  ${url}`).join('\n')}\n`);
  try {
    const section = formatNetworkcacheSection(await networkcacheSection(site, base));
    terminal.print(
      'The [networkcache] section for /etc/opt/slapos/slapos.cfg of each node (to replace one: cache slapos-cfg --into FILE):\n',
    );
    terminal.print(section);
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'config') throw error;
    terminal.warn(`cache: ${error.message}`);
  }
}
