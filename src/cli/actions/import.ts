import { EXIT, endWith } from '../exit-code.ts';
import type { ImportOptions } from '../commands/import.ts';
import { findSources, printImported, runImport, type Imported } from '../import-run.ts';
import { openStoreSite } from '../site.ts';

export async function importPaths(paths: readonly string[], options: ImportOptions): Promise<void> {
  const { json = false } = options;
  const site = await openStoreSite(options);
  const { terminal } = site;
  const imported: Imported = { media: [], archives: [] };
  try {
    await runImport(await findSources(paths, site.config), options, site, imported);
  } finally {
    // What is done is done, even if the disk failed at the next one.
    if (json) terminal.print(JSON.stringify([...imported.media, ...imported.archives], undefined, 2));
    else printImported(imported, terminal);
  }
  const results = [...imported.media, ...imported.archives];
  if (results.length === 0 || results.some(({ outcome }) => outcome === 'refused')) endWith(EXIT.incomplete);
}
