import { resolve } from 'node:path';
import { CacheError } from '../cache/errors.ts';
import { importProxy, type ProxyImportResult } from '../operations/import-proxy.ts';
import type { ImportOptions } from './commands/import.ts';
import { RELEASE_HEADINGS, releaseRow } from './release-results.ts';
import type { CommandSite } from './site.ts';
import { byUrlOrKey } from './terminal/format.ts';
import { createProgress } from './terminal/progress.ts';
import { countOutcomes, formatCounts, printResults } from './terminal/results.ts';
import type { Terminal } from './terminal/terminal.ts';

/**
 * Imports the two folders of `slapos proxy` into the store of the configuration.
 * @param results gets every result as soon as there is one: what is done counts, also when the store fails later
 */
export async function runProxyImport(
  paths: readonly string[],
  { dryRun = false, quiet = false }: ImportOptions,
  site: CommandSite,
  results: ProxyImportResult[],
): Promise<void> {
  const [content, metadata, ...more] = paths.map((path) => resolve(path));
  if (content === undefined || metadata === undefined || more.length > 0)
    throw new CacheError('usage', '--from-proxy: name two folders, CONTENT_DIR and METADATA_DIR');
  const trusted = await site.trusted();
  const store = await site.store(dryRun ? 'dry-run' : 'write');
  const progress = createProgress(undefined, { quiet });
  try {
    const importing = importProxy({ content, metadata }, store, {
      ...{ trusted, dryRun },
      onProgress: ({ softwareUrl, sha512 }, bytes, size) => {
        progress.advance(softwareUrl ?? sha512, bytes, size);
      },
    });
    for await (const result of importing) results.push(result);
  } finally {
    progress.clear();
  }
}

/** The table that sums up, then a line for each refusal, which names the file. */
export function printProxyResults(results: readonly ProxyImportResult[], terminal: Terminal): void {
  const shown = results.map((result) => ({ ...result, key: result.key ?? result.file })).sort(byUrlOrKey);
  printResults(
    {
      headings: RELEASE_HEADINGS,
      rows: shown.map(({ file, platform, size, softwareUrl, ...result }) => ({
        ...releaseRow({ platform, size, softwareUrl, ...result }, 'REFUSED'),
        name: file,
      })),
      summary:
        results.length === 0 ? 'there is nothing to import' : formatCounts(countOutcomes(results), LABELS),
    },
    terminal,
  );
}

/** In the order of the summary. */
const LABELS: Readonly<Record<ProxyImportResult['outcome'], string>> = {
  imported: 'imported',
  unchanged: 'unchanged',
  checked: 'checked',
  refused: 'refused',
};
