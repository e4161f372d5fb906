import { resolve } from 'node:path';
import { formatCount, formatSize } from '../../cache/amount.ts';
import { CacheError } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { quoteForShell } from '../../cache/shell.ts';
import type { Store } from '../../cache/store.ts';
import { parseSize } from '../../config/size.ts';
import { commandOf } from '../../operations/command-line.ts';
import { keyOf } from '../../operations/lookup.ts';
import { exportMedium, type ExportResult, type Seal } from '../../operations/medium/export-medium.ts';
import { readInventory, type Inventory } from '../../operations/medium/inventory.ts';
import { isMedium } from '../../operations/medium/open-medium.ts';
import { ownProgram } from '../../operations/medium/program.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import type { ExportOptions } from '../commands/export.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson, withJsonNames } from '../json-output.ts';
import { createKnownReleases, inStore } from '../known-releases.ts';
import { RELEASE_HEADINGS, releaseRow } from '../release-results.ts';
import { hintAtKey } from '../medium-hint.ts';
import { parseOption } from '../parse-option.ts';
import type { Site } from '../../operations/site.ts';
import { openStoreSite, type CommandSite } from '../site.ts';
import { isUrl } from '../url-option.ts';
import { refuseNesting } from '../store-location.ts';
import { byUrlOrKey, formatDate } from '../terminal/format.ts';
import { createProgress, type Progress } from '../terminal/progress.ts';
import { countOutcomes, formatCounts, printResults } from '../terminal/results.ts';
import type { Terminal } from '../terminal/terminal.ts';

export async function exportReleases(
  path: string,
  targets: readonly string[],
  options: ExportOptions,
): Promise<void> {
  if (path === '') throw new CacheError('usage', 'the folder of the medium has no name; write its path');
  const folder = resolve(path);
  const { verify, mountCheck, recheck = false, dryRun = false, json = false, quiet = false } = options;
  const site = await openStoreSite(options);
  const { terminal, config } = site;
  if (isUrl(path)) {
    const [medium = 'MEDIUM', ...more] = targets;
    throw new CacheError(
      'usage',
      `${path} is a URL, not the folder of a medium; name the medium first: ${commandOf(config, 'export', [medium, path, ...more])}`,
    );
  }
  const split = options.split === undefined ? undefined : splitSizeOf(options.split);
  await refuseNesting(folder, site.location);
  const store = await openExported(site, dryRun);
  const keys = targets.length === 0 ? undefined : await keysOf(targets, store, site);
  const signer = dryRun ? undefined : await site.signer();
  const mediumSigners = await site.ownTrusted();
  const trusted = await site.trusted();
  const inventory =
    options.missingFrom === undefined
      ? undefined
      : await openInventory(options.missingFrom, mediumSigners, terminal);
  let progress: Progress | undefined;
  let result: ExportResult;
  try {
    result = await exportMedium(folder, {
      programs: ownProgram(),
      ...{ store, signer, trusted, mediumSigners, keys, inventory, split, verify, recheck, mountCheck },
      onNote: (text) => {
        progress?.clear();
        terminal.tell(text);
      },
      onTotal: (bytes) => (progress = createProgress(bytes, { quiet })),
      onProgress: (label, bytes) => progress?.advance(label, bytes),
    });
  } finally {
    progress?.clear();
  }
  await hintAtKey(folder, site);
  if (json) printJson('export', toJson(folder, result), terminal);
  else {
    print(folder, result, dryRun, site);
    if (result.entries.length > 0 && result.seal === undefined && !dryRun && !(await isMedium(folder)))
      terminal.tell(`${folder} has no export on it: there is nothing to carry`);
  }
  // Last, because nobody else checks packages, and they are signed now.
  if (result.seal?.packagesNote !== undefined) terminal.warn(result.seal.packagesNote);
  if (result.entries.some(({ outcome }) => outcome === 'refused') || result.entries.length === 0)
    endWith(EXIT.incomplete);
}

/** Without a configuration, writing would make an empty store, with nothing to export. */
async function openExported(site: Site, dryRun: boolean): Promise<Store> {
  const store = await site.store('read');
  return dryRun ? store : site.store('write');
}

/** A smaller size is probably a mistyped unit. */
const SMALLEST_PART = 64 * 1024;

function splitSizeOf(text: string): number {
  const size = parseOption('--split', () => parseSize(text));
  if (size >= SMALLEST_PART) return size;
  throw new CacheError('usage', `--split: ${text} is too small; name at least 64 KiB`);
}

/** @throws CacheError `not-found` for a URL or key without any entry */
async function keysOf(targets: readonly string[], store: Store, site: Site): Promise<readonly Key[]> {
  const known = createKnownReleases(site, inStore(store));
  const keys = new Set<Key>();
  const unknown: string[] = [];
  for (const text of targets) {
    const target = await known.resolve(text);
    const key = keyOf(target);
    keys.add(key);
    if ((await store.directory.digests(key)).length > 0) continue;
    const [nearest] = await known.suggest(target);
    unknown.push(
      `the store has nothing for ${target}${nearest === undefined ? '' : `; did you mean ${nearest} ?`}`,
    );
  }
  if (unknown.length > 0) throw new CacheError('not-found', unknown.join('\n'));
  return [...keys];
}

async function openInventory(
  file: string,
  signers: Parameters<typeof readInventory>[1],
  terminal: Terminal,
): Promise<Inventory> {
  const inventory = await readInventory(file, signers);
  const { signature, created } = inventory;
  terminal.tell(`${file}: inventory of ${formatDate(created)}`);
  if (signature.kind === 'stranger')
    terminal.warn(
      `note: ${file} is signed by the untrusted ${describeCertificate(signature.certificate)}; if it is wrong, the medium will lack releases`,
    );
  if (signature.kind === 'none') terminal.tell(`note: ${file} is not signed`);
  return inventory;
}

function toJson(medium: string, { entries, bytes: size, rewritten, seal }: ExportResult) {
  const shown = seal && {
    serial: seal.serial,
    fingerprint: seal.signer.fingerprint256,
    certificateFile: seal.certificateFile,
  };
  return { medium, size, rewritten, ...shown, entries: entries.map(withJsonNames) };
}

/** Prints the table, the refusals, and the next steps. */
function print(
  folder: string,
  { bytes, rewritten, packages, seal, ...result }: ExportResult,
  dryRun: boolean,
  { config, terminal }: CommandSite,
): void {
  const entries = [...result.entries].sort(byUrlOrKey);
  if (entries.length === 0) {
    terminal.tell(`the store has nothing to export; fill it with: ${commandOf(config, 'import FOLDER')}`);
    return;
  }
  const size = bytes > 0 || seal !== undefined ? formatSize(bytes) : dryRun ? 'nothing' : 'nothing was';
  printResults(
    {
      headings: RELEASE_HEADINGS,
      rows: entries.map((entry) => {
        const row = releaseRow(entry, 'LEFT OUT');
        return { ...row, name: `left out: ${row.name}` };
      }),
      summary: `${formatCounts(countOutcomes(entries), LABELS)}; ${size} ${dryRun ? 'to write' : 'written'}`,
    },
    terminal,
  );
  if (rewritten > 0)
    terminal.tell(
      `${formatCount(rewritten, 'file')} on the medium ${rewritten === 1 ? 'was damaged and is' : 'were damaged and are'} rewritten`,
    );
  if (packages > 0) terminal.tell(`the manifest also covers ${formatCount(packages, 'file')} of packages/`);
  if (seal !== undefined) terminal.tell(nextSteps(folder, seal));
}

/** In the order of the summary. */
const LABELS: Readonly<Record<ExportResult['entries'][number]['outcome'], string>> = {
  exported: 'exported',
  unchanged: 'on the medium already',
  planned: 'to be exported',
  present: 'on the other side already',
  refused: 'left out',
};

function nextSteps(folder: string, { serial, signer, certificateFile }: Seal): string {
  return [
    '',
    `${folder} is ready: export ${serial}, signed by ${describeCertificate(signer)}.`,
    `Unmount it before you unplug it: umount ${quoteForShell(folder)}`,
    'On the other side, if the site does not trust that certificate yet, compare its fingerprint and run:',
    `  cache init /srv/shacache --no-key --trust ${quoteForShell(certificateFile)}`,
    'Then mount the medium there, and import it:',
    `  cache import -c /srv/shacache/config.ini ${quoteForShell(folder)}`,
  ].join('\n');
}
