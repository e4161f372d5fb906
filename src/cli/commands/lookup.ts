import { CacheError } from '../../cache/errors.ts';
import { nearest } from '../../cache/nearest.ts';
import { formatPlatform, parseOs, type Platform } from '../../cache/platform.ts';
import type { Config } from '../../config/config.ts';
import {
  blacklistedBy,
  keyOf,
  lookUp,
  nearestUrls,
  SUGGESTIONS,
  type LookupRow,
} from '../../operations/lookup.ts';
import { sourceOfStore, type EntrySource } from '../../operations/source.ts';
import { createUpstream } from '../../upstream/client.ts';
import { EXIT } from '../exit-code.ts';
import type { CommonOptions } from '../common-options.ts';
import { openStore, readConfig, readMachine, readTrusted, type Store } from '../site.ts';
import { parseUrlOption } from '../url-option.ts';
import { formatDate, formatSize } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface LookupOptions extends CommonOptions {
  readonly server?: string;
  readonly os?: string;
  readonly multiarch?: string;
  readonly json?: boolean;
}

export async function lookup(target: string, options: LookupOptions): Promise<void> {
  const terminal = createTerminal({ quiet: options.quiet ?? false });
  const config = await readConfig(options.config);
  const key = keyOf(target);
  const store =
    options.server === undefined ? await openStore(config, terminal, { write: false }) : undefined;
  const machine = await machineOf(options);
  const trusted = await readTrusted(config);
  const rows = await lookUp(
    key,
    store === undefined ? serverOf(options.server ?? '') : sourceOfStore(store, config.store.path),
    machine,
    trusted,
  );
  const isUrl = key !== target;
  const blacklist = isUrl ? blacklistedBy(target) : undefined;
  if (blacklist !== undefined) {
    terminal.warn(
      `cache: note: nodes never ask a cache for this URL: the slapos.cfg that SlapOS ships has ${blacklist} in download-from-binary-cache-url-blacklist`,
    );
  }
  const suggestions = rows.length === 0 && isUrl ? await suggestFor(target, config, store, terminal) : [];
  if (options.json)
    terminal.print(JSON.stringify({ key, machine, entries: rows, suggestions }, undefined, 2));
  if (rows.length === 0) {
    terminal.warn(`cache: nothing is known for ${target}${isUrl ? ` (key ${key})` : ''}`);
    for (const url of suggestions) terminal.warn(`cache: did you mean ${url} ?`);
    process.exitCode = EXIT.incomplete;
    return;
  }
  if (options.json) return;
  if (isUrl) terminal.tell(`key ${key}, compared with ${formatPlatform(machine)}`);
  terminal.print(formatRows(rows));
}

/** A cache that is asked over HTTP lists no URLs: those of the configuration, and of its store if there is one, do. */
async function suggestFor(
  url: string,
  config: Config,
  opened: Store | undefined,
  terminal: Terminal,
): Promise<readonly string[]> {
  const configured = Array.from(config.software, ([, known]) => known);
  try {
    const { directory } = opened ?? (await openStore(config, terminal, { write: false }));
    return await nearestUrls(url, directory, configured);
  } catch (error) {
    if (opened !== undefined || !(error instanceof CacheError)) throw error;
    return nearest(url, configured, { limit: SUGGESTIONS });
  }
}

function formatRows(rows: readonly LookupRow[]): string {
  const table = formatTable(
    ['', 'MULTIARCH', 'DISTRIBUTION', 'VERSION', 'ID', 'COMPATIBLE?', 'VERIFIED?', 'SIZE', 'DATE'],
    rows.map(({ platform, compatible, verified, size, date }, index) => {
      const [id = '?', version = '?', codename = '?'] = platform?.os ?? [];
      return [
        String(index + 1),
        platform?.multiarch ?? '?',
        ...[id, version, codename],
        compatible ? 'yes' : 'no',
        verified ? 'yes' : 'no',
        size === undefined ? 'MISSING' : formatSize(size),
        date === undefined ? '' : formatDate(date),
      ];
    }),
  );
  // A sha512 fills a line of its own: in a column it would push the others off the screen.
  return [table, '', ...rows.map(({ sha512 }, index) => `${index + 1}  sha512 ${sha512}`)].join('\n');
}

function serverOf(base: string): EntrySource {
  const url = parseUrlOption('--server', base);
  return createUpstream({ directory: `${url}/bdir`, blobs: `${url}/bcache` });
}

async function machineOf({ os, multiarch }: LookupOptions): Promise<Platform> {
  if (os !== undefined && multiarch !== undefined) return { os: parseOs(os), multiarch };
  const machine = await readMachine();
  return { os: os === undefined ? machine.os : parseOs(os), multiarch: multiarch ?? machine.multiarch };
}
