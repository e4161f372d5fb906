import { EXIT, endWith } from '../exit-code.ts';
import type { ImportOptions } from '../commands/import.ts';
import { findSources, printImported, runImport, type Imported } from '../import-run.ts';
import { printProxyResults, runProxyImport } from '../proxy-import.ts';
import { openSite } from '../site.ts';
import type { ProxyImportResult } from '../../operations/import-proxy.ts';

export async function importPaths(paths: readonly string[], options: ImportOptions): Promise<void> {
  const { json = false, fromProxy = false } = options;
  const site = await openSite(options);
  const { terminal } = site;
  const imported: Imported = { media: [], archives: [] };
  const taken: ProxyImportResult[] = [];
  const all = () => [...imported.media, ...imported.archives, ...taken];
  try {
    if (fromProxy) await runProxyImport(paths, options, site, taken);
    else {
      const sources = await findSources(paths, site.config);
      if (sources.empty.length > 0) endWith(EXIT.incomplete);
      await runImport(sources, options, site, imported);
    }
  } finally {
    // What is done is done, even if the disk failed at the next one.
    if (json) terminal.print(JSON.stringify(all(), undefined, 2));
    else if (fromProxy) printProxyResults(taken, terminal);
    else printImported(imported, terminal);
  }
  const results = all();
  if (results.length === 0 || results.some(({ outcome }) => outcome === 'refused')) endWith(EXIT.incomplete);
}
