import { dirname, resolve } from 'node:path';
import { CacheError } from '../cache/errors.ts';
import { parseOs } from '../cache/platform.ts';
import { parseSoftwareRoot } from '../cache/software-root.ts';
import { commandOf } from '../operations/command-line.ts';
import { findArchives, MixedFolder, type ArchiveFile } from '../operations/find-archives.ts';
import {
  importArchives,
  type ImportOptions as ArchiveImportOptions,
  type ImportResult,
} from '../operations/import-archives.ts';
import type { Config } from '../config/config.ts';
import type { MediumImportResult } from '../operations/medium/import-medium.ts';
import { isMedium } from '../operations/medium/open-medium.ts';
import { openSigningTarget } from '../operations/release-entry.ts';
import { hasSigningKey } from '../operations/signing-key.ts';
import type { ImportOptions } from './commands/import.ts';
import { refuseOtherFolder } from './import-mistakes.ts';
import { withJsonNames, type JsonOutput } from './json-output.ts';
import { hintAtMedium } from './medium-hint.ts';
import { describeDamage, printMediumResults, runMediumImport } from './medium-import.ts';
import { checkMultiarch, parseOption } from './parse-option.ts';
import { printReleaseResults } from './release-results.ts';
import type { CommandSite } from './site.ts';
import { createProgress } from './terminal/progress.ts';
import type { Terminal } from './terminal/terminal.ts';
import { adviseOnMixedFolder } from './unsigned-medium.ts';

/** The results for the given paths. */
export interface Imported {
  readonly media: MediumImportResult[];
  readonly archives: ImportResult[];
  /** Files of packages/ on the media. */
  readonly packages: string[];
  /** Messages about media that did not arrive whole. */
  readonly damages: string[];
}

/** What the named paths lead to. */
export interface ImportSources {
  /** Folders. */
  readonly media: readonly string[];
  readonly archives: readonly ArchiveFile[];
  /** The files and folders that were named for their archives. */
  readonly others: readonly string[];
  /** Those of them without any archive. */
  readonly empty: readonly string[];
}

/** @throws CacheError `usage` for a path that is missing; `invalid-medium` */
export async function findSources(paths: readonly string[], config: Config): Promise<ImportSources> {
  const media: string[] = [];
  const others: string[] = [];
  for (const path of paths) ((await isMedium(path)) ? media : others).push(path);
  const archives = new Map<string, ArchiveFile>();
  const empty: string[] = [];
  for (const path of others) {
    await refuseOtherFolder(path, config);
    const found = await findArchives([path]).catch(async (error: unknown) => {
      throw error instanceof MixedFolder ? await adviseOnMixedFolder(error, config) : error;
    });
    if (found.length === 0) empty.push(path);
    for (const archive of found) archives.set(archive.path, archive);
  }
  return { media, archives: [...archives.values()], others, empty };
}

/**
 * Imports media that `cache export` wrote, and archives, into the store of the site. Says how it goes on stderr.
 * @param imported gets every result as soon as there is one: what is done counts, also when the store fails later
 */
export async function runImport(
  { media, archives, others, empty }: ImportSources,
  options: ImportOptions,
  site: CommandSite,
  imported: Imported,
): Promise<void> {
  for (const path of media) {
    const result = await runMediumImport(path, site, options);
    for (const one of result.results) imported.media.push(one);
    for (const name of result.packages ?? []) imported.packages.push(name);
    if (!result.isWhole) imported.damages.push(describeDamage(path, result));
  }
  if (others.length > 0)
    await runArchiveImport({ archives, others, empty }, options, site, imported.archives);
}

export function importedJson({ media, archives }: Imported): JsonOutput<'import'> {
  return [...media.map(withJsonNames), ...archives.map(withJsonNames)];
}

export function printImported({ media, archives, damages }: Imported, terminal: Terminal): void {
  if (media.length > 0) printMediumResults(media, terminal);
  printReleaseResults(archives, terminal);
  tellDamages({ damages }, terminal);
}

/** Ends the command with 1 if a medium did not arrive whole. */
export function tellDamages({ damages }: Pick<Imported, 'damages'>, terminal: Terminal): void {
  for (const damage of damages) terminal.fail(damage, 'incomplete');
}

async function runArchiveImport(
  { archives, others, empty }: Omit<ImportSources, 'media'>,
  { url, os, multiarch, softwareRoot: root, dryRun = false, recheck = false, quiet = false }: ImportOptions,
  site: CommandSite,
  results: ImportResult[],
): Promise<void> {
  const { terminal } = site;
  checkMultiarch(multiarch);
  const softwareRoot =
    root === undefined ? undefined : parseOption('--software-root', () => parseSoftwareRoot(root));
  const system = os === undefined ? undefined : parseOption('--os', () => parseOs(os));
  if (url !== undefined && archives.length !== 1) {
    throw new CacheError(
      'usage',
      `--url names one release, but there are ${archives.length} archives; name one of them`,
    );
  }
  await hintAtMedium(others, site);
  for (const path of empty) {
    const medium = dirname(resolve(path));
    const instead = (await isMedium(medium))
      ? `; to import the medium: ${commandOf(site.config, 'import', [medium])}`
      : '';
    terminal.warn(`cache: no archives in ${path}${instead}`);
  }
  const progress = createProgress(
    archives.reduce((sum, { size }) => sum + size, 0),
    { quiet },
  );
  try {
    const importOptions = {
      url,
      os: system,
      multiarch,
      softwareRoot,
      recheck,
      software: site.config.software,
    };
    // The first import makes key and store: only for an archive that it takes.
    if (!dryRun && site.config.file === undefined && !(await hasSigningKey(site.config.signature)))
      await refuseFirst(archives, importOptions, results);
    const rest = archives.slice(results.length);
    const importing = importArchives(rest, {
      ...importOptions,
      ...(dryRun || rest.length === 0 ? {} : { target: await openSigningTarget(site) }),
      onProgress: ({ path }, bytes) => {
        progress.advance(path, bytes);
      },
    });
    for await (const result of importing) results.push(result);
  } catch (error) {
    progress.clear();
    if (results.length > 0)
      terminal.warn(
        `stopped after ${results.length} of ${archives.length} archives; run the same command again to continue`,
      );
    throw error;
  } finally {
    progress.clear();
  }
}

/** Reads archives until one is good, and adds the refusals of those before it to the results. */
async function refuseFirst(
  archives: readonly ArchiveFile[],
  options: ArchiveImportOptions,
  results: ImportResult[],
): Promise<void> {
  for (const archive of archives)
    for await (const result of importArchives([archive], options)) {
      if (result.outcome !== 'refused') return;
      results.push(result);
    }
}
