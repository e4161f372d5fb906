import { EXIT, endWith } from '../exit-code.ts';
import type { ImportOptions } from '../commands/import.ts';
import {
  findSources,
  importedJson,
  printImported,
  runImport,
  tellDamages,
  type Imported,
} from '../import-run.ts';
import { printJson, withJsonNames } from '../json-output.ts';
import { printProxyResults, runProxyImport } from '../proxy-import.ts';
import { openStoreSite } from '../site.ts';
import type { ProxyImportResult } from '../../operations/import-proxy.ts';

export async function importPaths(paths: readonly string[], options: ImportOptions): Promise<void> {
  const { json = false, fromProxy = false } = options;
  const site = await openStoreSite(options);
  const { terminal } = site;
  const imported: Imported = { media: [], archives: [], packages: [], damages: [] };
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
    if (json) {
      printJson('import', [...importedJson(imported), ...taken.map(withJsonNames)], terminal);
      tellDamages(imported, terminal);
    } else if (fromProxy) printProxyResults(taken, terminal);
    else printImported(imported, terminal);
  }
  const results = all();
  if (results.length + imported.packages.length === 0 || results.some(({ outcome }) => outcome === 'refused'))
    endWith(EXIT.incomplete);
}
