import { CacheError } from '../../cache/errors.ts';
import { formatPlatform, parseOs } from '../../cache/platform.ts';
import type { Config } from '../../config/config.ts';
import { findArchives } from '../../operations/find-archives.ts';
import { importArchives, type ImportResult, type ImportTarget } from '../../operations/import-archives.ts';
import { createImportRecords } from '../../operations/import-records.ts';
import { EXIT } from '../exit-code.ts';
import type { CommonOptions } from '../common-options.ts';
import { hintAtMedium } from '../medium-hint.ts';
import { openSigner, openStore, readConfig, readTrusted } from '../site.ts';
import { formatSize } from '../terminal/format.ts';
import { createProgress } from '../terminal/progress.ts';
import { formatTable } from '../terminal/table.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface ImportOptions extends CommonOptions {
  readonly url?: string;
  readonly os?: string;
  readonly multiarch?: string;
  readonly softwareRoot: string;
  readonly dryRun?: boolean;
  readonly quick?: boolean;
  readonly recheck?: boolean;
  readonly json?: boolean;
}

export async function importPaths(paths: readonly string[], options: ImportOptions): Promise<void> {
  const { quiet = false, json = false } = options;
  const terminal = createTerminal({ quiet });
  const config = await readConfig(options.config);
  const results = await runImport(paths, config, options, terminal);
  if (json) terminal.print(JSON.stringify(results, undefined, 2));
  else printResults(results, terminal);
  if (results.length === 0 || results.some(({ outcome }) => outcome === 'refused'))
    process.exitCode = EXIT.incomplete;
}

/** Imports into the store of the configuration; says how it goes on stderr. */
export async function runImport(
  paths: readonly string[],
  config: Config,
  {
    url,
    os,
    multiarch,
    softwareRoot,
    dryRun = false,
    quick = false,
    recheck = false,
    quiet = false,
  }: ImportOptions,
  terminal: Terminal,
): Promise<readonly ImportResult[]> {
  const archives = await findArchives(paths);
  if (url !== undefined && archives.length !== 1) {
    throw new CacheError(
      'usage',
      `--url names one release, but there are ${archives.length} archives; name one of them`,
    );
  }
  await hintAtMedium(paths, config, terminal);
  if (archives.length === 0) terminal.warn(`cache: no archives in ${paths.join(', ')}`);
  const system = os === undefined ? undefined : parseOs(os);
  const progress = createProgress(
    archives.reduce((sum, { size }) => sum + size, 0),
    { quiet },
  );
  const results: ImportResult[] = [];
  try {
    const importing = importArchives(archives, {
      url,
      os: system,
      multiarch,
      softwareRoot,
      quick,
      recheck,
      software: config.software,
      ...(dryRun || archives.length === 0 ? {} : { target: await openTarget(config, terminal) }),
      onProgress: ({ path }, bytes) => {
        progress.advance(path, bytes);
      },
    });
    for await (const result of importing) results.push(result);
  } finally {
    progress.clear();
  }
  return results;
}

async function openTarget(config: Config, terminal: Terminal): Promise<ImportTarget> {
  const signer = await openSigner(config, terminal);
  const { storage, blobs, directory } = await openStore(config, terminal, { write: true });
  const records = createImportRecords(storage);
  return { blobs, directory, records, signer, trusted: await readTrusted(config) };
}

/** The table that sums up, then what needs a person's eye. */
export function printResults(results: readonly ImportResult[], terminal: Terminal): void {
  if (results.length === 0) return;
  terminal.print(
    formatTable(
      ['ARCHIVE', 'RESULT', 'PLATFORM', 'SIZE', 'URL'],
      results.map((result) =>
        result.outcome === 'refused'
          ? [result.file, 'REFUSED', '', '', '']
          : [
              result.file,
              result.outcome,
              formatPlatform(result.platform),
              formatSize(result.size),
              result.softwareUrl,
            ],
      ),
    ),
  );
  for (const result of results) {
    if (result.outcome === 'refused') terminal.warn(`cache: ${result.file}: ${result.reason}`);
    else for (const warning of result.warnings) terminal.warn(`cache: ${result.file}: note: ${warning}`);
  }
  const count = (outcome: ImportResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length;
  const parts = (['imported', 'unchanged', 'checked', 'refused'] as const)
    .map((outcome) => ({ outcome, number: count(outcome) }))
    .filter(({ number }) => number > 0)
    .map(({ outcome, number }) => `${number} ${outcome}`);
  terminal.tell(parts.join(', '));
}
