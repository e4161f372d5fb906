import { CacheError } from '../../cache/errors.ts';
import { parseOs } from '../../cache/platform.ts';
import { parseSoftwareRoot } from '../../cache/software-root.ts';
import type { Config } from '../../config/config.ts';
import { findArchives, MixedFolder, type ArchiveFile } from '../../operations/find-archives.ts';
import { importArchives, type ImportResult } from '../../operations/import-archives.ts';
import { isMedium } from '../../operations/medium/open-medium.ts';
import type { MediumImportResult } from '../../operations/medium/import-medium.ts';
import { EXIT, endWith } from '../exit-code.ts';
import type { CommonOptions } from '../common-options.ts';
import { openImportTarget } from '../import-target.ts';
import { hintAtMedium } from '../medium-hint.ts';
import { printMediumResults, runMediumImport } from '../medium-import.ts';
import { parseOption } from '../parse-option.ts';
import { adviseOnMixedFolder } from '../unsigned-medium.ts';
import { printResults } from '../release-results.ts';
import { readConfig } from '../site.ts';
import { createProgress } from '../terminal/progress.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface ImportOptions extends CommonOptions {
  readonly url?: string;
  readonly os?: string;
  readonly multiarch?: string;
  readonly softwareRoot?: string;
  readonly dryRun?: boolean;
  readonly recheck?: boolean;
  readonly acceptOlder?: boolean;
  readonly json?: boolean;
}

export async function importPaths(paths: readonly string[], options: ImportOptions): Promise<void> {
  const { quiet = false, json = false } = options;
  const terminal = createTerminal({ quiet });
  const config = await readConfig(options.config);
  const imported: Imported = { media: [], archives: [] };
  try {
    await runImport(paths, config, options, terminal, imported);
  } finally {
    // What is done is done, even if the disk failed at the next one.
    if (json) terminal.print(JSON.stringify([...imported.media, ...imported.archives], undefined, 2));
    else printImported(imported, terminal);
  }
  const results = [...imported.media, ...imported.archives];
  if (results.length === 0 || results.some(({ outcome }) => outcome === 'refused')) endWith(EXIT.incomplete);
}

/** What became of the paths that were named. */
export interface Imported {
  readonly media: MediumImportResult[];
  readonly archives: ImportResult[];
}

/**
 * Imports into the store of the configuration: media that `cache export` wrote, and archives. Says how it goes on stderr.
 * @param imported gets every result as soon as there is one: what is done counts, also when the store fails later
 */
export async function runImport(
  paths: readonly string[],
  config: Config,
  options: ImportOptions,
  terminal: Terminal,
  imported: Imported = { media: [], archives: [] },
): Promise<Imported> {
  const media: string[] = [];
  const others: string[] = [];
  for (const path of paths) ((await isMedium(path)) ? media : others).push(path);
  // A path that is refused is told before anything is done.
  const archives = await findArchives(others).catch(async (error: unknown) => {
    throw error instanceof MixedFolder ? await adviseOnMixedFolder(error, config) : error;
  });
  for (const path of media) {
    for (const result of await runMediumImport(path, config, options, terminal)) imported.media.push(result);
  }
  if (others.length > 0)
    await runArchiveImport(archives, others, config, options, terminal, imported.archives);
  return imported;
}

export function printImported({ media, archives }: Imported, terminal: Terminal): void {
  if (media.length > 0) printMediumResults(media, terminal);
  printResults(archives, terminal);
}

async function runArchiveImport(
  archives: readonly ArchiveFile[],
  paths: readonly string[],
  config: Config,
  { url, os, multiarch, softwareRoot: root, dryRun = false, recheck = false, quiet = false }: ImportOptions,
  terminal: Terminal,
  results: ImportResult[],
): Promise<void> {
  const softwareRoot =
    root === undefined ? undefined : parseOption('--software-root', () => parseSoftwareRoot(root));
  const system = os === undefined ? undefined : parseOption('--os', () => parseOs(os));
  if (url !== undefined && archives.length !== 1) {
    throw new CacheError(
      'usage',
      `--url names one release, but there are ${archives.length} archives; name one of them`,
    );
  }
  await hintAtMedium(paths, config, terminal);
  if (archives.length === 0) {
    terminal.warn(`cache: no archives in ${paths.join(', ')}`);
  }
  const progress = createProgress(
    archives.reduce((sum, { size }) => sum + size, 0),
    { quiet },
  );
  try {
    const importing = importArchives(archives, {
      url,
      os: system,
      multiarch,
      softwareRoot,
      recheck,
      software: config.software,
      ...(dryRun || archives.length === 0 ? {} : { target: await openImportTarget(config, terminal) }),
      onProgress: ({ path }, bytes) => {
        progress.advance(path, bytes);
      },
    });
    for await (const result of importing) results.push(result);
  } catch (error) {
    progress.clear();
    if (results.length > 0)
      terminal.warn(
        `${results.length} of ${archives.length} archives were dealt with; the same command goes on from there`,
      );
    throw error;
  } finally {
    progress.clear();
  }
}
