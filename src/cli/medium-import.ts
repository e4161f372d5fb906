import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { formatCount } from '../cache/amount.ts';
import type { Store } from '../cache/store.ts';
import { commandOf } from '../operations/command-line.ts';
import { findArchives } from '../operations/find-archives.ts';
import {
  importMedium,
  type MediumImport,
  type MediumImportResult,
} from '../operations/medium/import-medium.ts';
import { DamagedMedium, formatDamages, remedyOf } from '../operations/medium/medium-faults.ts';
import { PACKAGES_FOLDER } from '../operations/medium/manifest.ts';
import { openMedium, type Medium } from '../operations/medium/open-medium.ts';
import { describeCertificate } from '../operations/medium/signed-document.ts';
import type { Site } from '../operations/site.ts';
import { packagesFolderOf } from '../operations/site-paths.ts';
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
  options: ImportOptions,
): Promise<MediumImport> {
  try {
    return await openAndImport(resolve(path), site, options);
  } catch (error) {
    if (!(error instanceof DamagedMedium) || options.partial) throw error;
    throw error.withAdvice(`To import its undamaged releases: cache import --partial ${path}`);
  }
}

async function openAndImport(
  folder: string,
  site: Site,
  { dryRun = false, acceptOlder = false, partial = false, quiet = false }: ImportOptions,
): Promise<MediumImport> {
  const { messages } = site;
  const openStore = (): Promise<Store> => site.store(dryRun ? 'dry-run' : 'write');
  const medium = await openMedium(folder, await site.ownTrusted(), {
    store: openStore,
    acceptOlder,
    partial,
  });
  const { serial, created } = medium.manifest;
  messages.tell(
    `${folder}: export ${serial} of ${formatDate(created)}, signed by ${describeCertificate(medium.signer)}`,
  );
  await hintAtArchives(folder, site);
  const labels = labelsOf(medium);
  let progress: Progress | undefined;
  let result: MediumImport;
  try {
    const store = await openStore();
    result = await importMedium(medium, {
      ...(dryRun ? { present: store } : { target: store }),
      trusted: await site.trusted(),
      packagesFolder: packagesFolderOf(site.config),
      onTotal: (bytes) => (progress = createProgress(bytes, { quiet })),
      onProgress: (sha512, bytes) => progress?.advance(labels.get(sha512) ?? sha512, bytes),
    });
  } finally {
    progress?.clear();
  }
  await tellOfPackages(folder, result, dryRun, site);
  return result;
}

function labelsOf({ entries, packages = new Map() }: Medium): ReadonlyMap<string, string> {
  return new Map([
    ...entries.map(({ key, entry }) => [entry.sha512, entry.softwareUrl ?? key] as const),
    ...[...packages].map(([path, { sha512 }]) => [sha512, path] as const),
  ]);
}

/** What a person is told of the files of `packages/`, or why they were not taken. */
async function tellOfPackages(
  folder: string,
  { packages }: MediumImport,
  isDryRun: boolean,
  site: Site,
): Promise<void> {
  if (packages === undefined) {
    const names = await readdir(join(folder, PACKAGES_FOLDER)).catch(() => []);
    if (names.length > 0)
      site.messages.tell(
        `note: the manifest does not cover ${join(folder, PACKAGES_FOLDER)}: its files are neither verified nor copied; export again to cover them`,
      );
  } else if (packages.length > 0) {
    const what = isDryRun ? 'verified' : `verified and copied to ${packagesFolderOf(site.config)}`;
    site.messages.tell(`${formatCount(packages.length, 'file')} of ${PACKAGES_FOLDER}/ ${what}`);
  }
}

/** What a person is told last of a medium that did not arrive whole. */
export function describeDamage(path: string, { faults }: MediumImport): string {
  return [
    `cache: ${path} is damaged; where it was made, ${remedyOf(faults, 'MEDIUM')}`,
    ...(faults.length > 0 ? [formatDamages(faults)] : []),
  ].join('\n');
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
