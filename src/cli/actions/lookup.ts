import { formatPlatform } from '../../cache/platform.ts';
import { keyOf, lookUp, type LookupRow } from '../../operations/lookup.ts';
import { sourceOfStore, type Source } from '../../cache/source.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import { noteBlacklist } from '../blacklist-note.ts';
import { EXIT, endWith } from '../exit-code.ts';
import type { LookupOptions } from '../commands/lookup.ts';
import { machineOf, openSite } from '../site.ts';
import { checkCa, openServer, urlsOfOptions, warnOfDoubts } from '../servers.ts';
import { suggestUrls } from '../suggestions.ts';
import { formatDate, formatSize } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';

export async function lookup(target: string, options: LookupOptions): Promise<void> {
  const site = await openSite(options);
  const { config, terminal } = site;
  const key = keyOf(target);
  const { ca } = options;
  const server = urlsOfOptions(options, config);
  await checkCa(ca, [server], terminal);
  const source: Source =
    server === undefined
      ? sourceOfStore(await site.store('read'))
      : await openServer(server, config, { ca, patience: IMPATIENT });
  const machine = await machineOf(options);
  const rows = await lookUp(key, source, machine, await site.trusted());
  const isUrl = key !== target;
  if (isUrl) noteBlacklist(target, terminal);
  const suggestions = rows.length === 0 && isUrl ? await suggestUrls(target, site) : [];
  if (options.json)
    terminal.print(JSON.stringify({ key, machine, entries: rows, suggestions }, undefined, 2));
  if (rows.length === 0) {
    terminal.warn(`cache: nothing is known for ${target}${isUrl ? ` (key ${key})` : ''}`);
    for (const url of suggestions) terminal.warn(`cache: did you mean ${url} ?`);
    endWith(EXIT.incomplete);
  } else if (!options.json) {
    if (isUrl) terminal.tell(`key ${key}, compared with ${formatPlatform(machine)}`);
    terminal.print(formatRows(rows));
  }
  await warnOfDoubts(source, terminal);
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
