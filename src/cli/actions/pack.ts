import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { parseOs } from '../../cache/platform.ts';
import { parseSoftwareRoot } from '../../cache/software-root.ts';
import type { Config } from '../../config/config.ts';
import { prepareFolder } from '../../operations/new-archive.ts';
import { isWithin, realPathOf } from '../../operations/is-within.ts';
import {
  examineFolder,
  packReleases,
  isPackable,
  type ExaminedFolder,
  type PackableFolder,
  type PackResult,
} from '../../operations/pack-release.ts';
import type { PackOptions } from '../commands/pack.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson, withJsonNames } from '../json-output.ts';
import { hintAtMedium } from '../medium-hint.ts';
import { checkMultiarch, parseOption } from '../parse-option.ts';
import { printReleaseResults } from '../release-results.ts';
import { readMachine } from '../../operations/this-machine.ts';
import { openSigningTarget } from '../../operations/release-entry.ts';
import type { Site } from '../../operations/site.ts';
import { openSite, openStoreSite } from '../site.ts';
import { createProgress } from '../terminal/progress.ts';
import type { Terminal } from '../terminal/terminal.ts';

export async function pack(paths: readonly string[], options: PackOptions): Promise<void> {
  const { url, os, softwareRoot: root, force = false, json = false, quiet = false } = options;
  if (url !== undefined && paths.length !== 1) {
    throw new CacheError(
      'usage',
      `--url names one release, but there are ${paths.length} folders; name one of them`,
    );
  }
  checkMultiarch(options.multiarch);
  const told = {
    os: os === undefined ? undefined : parseOption('--os', () => parseOs(os)),
    softwareRoot:
      root === undefined ? undefined : parseOption('--software-root', () => parseSoftwareRoot(root)),
  };
  const site = await (options.import ? openStoreSite : openSite)(options);
  const { terminal } = site;
  const folders: ExaminedFolder[] = [];
  for (const path of paths) folders.push(await examineFolder(path, { url, force }));
  const progress = createProgress(
    folders.filter(isPackable).reduce((sum, { size }) => sum + size, 0),
    { quiet },
  );
  const results: PackResult[] = [];
  try {
    const packing = packReleases(folders, {
      ...(await settingsOf(options, folders.filter(isPackable), site)),
      builtOn: told.os === undefined ? await readMachine() : { os: told.os },
      softwareRoot: told.softwareRoot,
      force,
      onProgress: ({ folder, size }, bytes) => {
        progress.advance(folder, bytes, size);
      },
    });
    for await (const result of packing) results.push(result);
  } finally {
    progress.clear();
    // Reports the finished archives even if a later one failed.
    report(results, json, terminal);
  }
  if (results.some(({ outcome }) => outcome === 'refused')) endWith(EXIT.incomplete);
}

async function settingsOf(
  { output, multiarch, import: imports }: PackOptions,
  folders: readonly PackableFolder[],
  site: Site,
) {
  const { config } = site;
  const place = output ?? (await defaultOutput(config));
  await hintAtMedium([place], site);
  const { privateKeyFile } = config.signature;
  await checkOutside(imports ? [place, config.store.path, privateKeyFile] : [place], folders);
  // Without anything to pack, makes no folder, key or store.
  const isNeeded = folders.length > 0;
  if (isNeeded) await prepareFolder(place);
  const target = imports && isNeeded ? await openSigningTarget(site) : undefined;
  const { minFreeSpace } = config.upload;
  return { output: place, minFreeSpace, multiarch, target };
}

/** The files that packing makes must not be in the packed folder: nodes would get the signing key. */
async function checkOutside(places: readonly string[], folders: readonly PackableFolder[]): Promise<void> {
  for (const place of places) {
    const real = await realPathOf(place);
    const folder = folders.find(({ path }) => isWithin(real, path));
    if (folder === undefined) continue;
    throw new CacheError(
      'usage',
      `${place} is inside ${folder.folder}, and would be packed with it; run the command in another folder, or set -c and -o`,
    );
  }
}

/** A medium keeps its archives in the folder `software` beside its configuration. */
async function defaultOutput({ file, folder }: Config): Promise<string> {
  const onMedium = file === undefined ? undefined : join(folder, 'software');
  const isThere = onMedium !== undefined && (await stat(onMedium).catch(() => undefined))?.isDirectory();
  return isThere ? onMedium : 'software';
}

function report(results: readonly PackResult[], json: boolean, terminal: Terminal): void {
  if (json) {
    printJson('pack', results.map(withJsonNames), terminal);
    return;
  }
  printReleaseResults(
    results.map((result) => (result.outcome === 'refused' ? { file: result.folder, ...result } : result)),
    terminal,
  );
  const written = results.find((result) => result.outcome !== 'refused');
  if (written !== undefined) terminal.tell(`the archives are in ${dirname(written.path)}`);
}
