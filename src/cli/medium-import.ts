import { join, resolve } from 'node:path';
import type { Store } from '../cache/store.ts';
import { commandOf } from '../operations/command-line.ts';
import { findArchives } from '../operations/find-archives.ts';
import { importMedium, type MediumImportResult } from '../operations/medium/import-medium.ts';
import { openMedium, type Medium } from '../operations/medium/open-medium.ts';
import { describeCertificate } from '../operations/medium/signed-document.ts';
import type { Site } from '../operations/site.ts';
import type { ImportOptions } from './commands/import.ts';
import { byUrlOrKey, formatDate } from './terminal/format.ts';
import { refusedLast, RELEASE_HEADINGS, releaseRow } from './release-results.ts';
import { createProgress, type Progress } from './terminal/progress.ts';
import { countOutcomes, formatCounts, printResults } from './terminal/results.ts';
import type { Terminal } from './terminal/terminal.ts';

/** Imports an exported medium into the store of the configuration; reports progress on stderr. */
export async function runMediumImport(
  path: string,
  site: Site,
  { dryRun = false, acceptOlder = false, quiet = false }: ImportOptions,
): Promise<readonly MediumImportResult[]> {
  const { messages } = site;
  const folder = resolve(path);
  const openStore = (): Promise<Store> => site.store(dryRun ? 'dry-run' : 'write');
  const medium = await openMedium(folder, await site.ownTrusted(), { store: openStore, acceptOlder });
  const { serial, created } = medium.manifest;
  messages.tell(
    `${folder}: export ${serial} of ${formatDate(created)}, signed by ${describeCertificate(medium.signer)}`,
  );
  await hintAtArchives(folder, site);
  const labels = labelsOf(medium);
  let progress: Progress | undefined;
  try {
    const store = await openStore();
    return await importMedium(medium, {
      ...(dryRun ? { present: store } : { target: store }),
      trusted: await site.trusted(),
      onTotal: (bytes) => (progress = createProgress(bytes, { quiet })),
      onProgress: (sha512, bytes) => progress?.advance(labels.get(sha512) ?? sha512, bytes),
    });
  } finally {
    progress?.clear();
  }
}

function labelsOf({ entries }: Medium): ReadonlyMap<string, string> {
  return new Map(entries.map(({ key, entry }) => [entry.sha512, entry.softwareUrl ?? key]));
}

/** Mentions archives beside the store, which the manifest does not cover. */
async function hintAtArchives(folder: string, { config, messages }: Site): Promise<void> {
  const software = join(folder, 'software');
  const archives = await findArchives([software]).catch(() => []);
  if (archives.length > 0)
    messages.tell(
      `note: ${software} holds ${archives.length} archives, which are not part of the export; to import them, too: ${commandOf(config, 'import', [software])}`,
    );
}

/** Prints the table and the refusals. */
export function printMediumResults(unsorted: readonly MediumImportResult[], terminal: Terminal): void {
  const results = refusedLast([...unsorted].sort(byUrlOrKey));
  printResults(
    {
      headings: RELEASE_HEADINGS,
      rows: results.map((result) => releaseRow(result, 'REFUSED')),
      note: results.some(({ outcome }) => outcome === 'skipped')
        ? 'untrusted upstream signature skipped; a trusted one exists'
        : undefined,
      summary: formatCounts(countOutcomes(results), LABELS),
    },
    terminal,
  );
}

/** In the order of the summary. */
const LABELS: Readonly<Record<MediumImportResult['outcome'], string>> = {
  imported: 'imported',
  unchanged: 'unchanged',
  checked: 'checked',
  skipped: 'skipped',
  refused: 'refused',
};
