import { formatCount, formatSize } from '../../cache/amount.ts';
import { CacheError } from '../../cache/errors.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { parseDuration } from '../../config/duration.ts';
import { commandOf } from '../../operations/command-line.ts';
import { removeGarbage, type Removed } from '../../operations/upkeep/collect-garbage.ts';
import { findGarbage, type Garbage, type GarbageBlob } from '../../operations/upkeep/garbage.ts';
import type { GcOptions } from '../commands/gc.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson, withUrl } from '../json-output.ts';
import { parseOption } from '../parse-option.ts';
import { openStoreSite, type CommandSite } from '../site.ts';
import { formatBlobs, formatDate } from '../terminal/format.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { pinnedKeys } from '../../operations/upkeep/pinned-keys.ts';

export async function gc(options: GcOptions): Promise<void> {
  const { json = false, dryRun = false, unnamed = false, allowEmpty = false } = options;
  const keep = parseKeep(options.keep);
  const grace = parseOption('--grace', () => parseDuration(options.grace));
  const site = await openStoreSite(options);
  const { terminal } = site;
  const store = await site.store(dryRun ? 'inspect' : 'upkeep');
  if (store.markFault !== undefined) throw store.markFault;
  const trusted = await site.trusted();
  const pinned = new Set(pinnedKeys(site.config).keys());
  const search = await findGarbage(store, { keep, grace, unnamed, allowEmpty, trusted, pinned });
  const removed = dryRun ? search.garbage : await removeGarbage(store, search);
  const { young, unnamed: kept, damaged, isDoubtful } = search.garbage;
  const { entries, blobs, leftovers, records } = removed;
  if (json) {
    const shown = entries.map(({ received, ...entry }) => ({
      ...withUrl(entry),
      received: received.toISOString(),
    }));
    printJson('gc', { entries: shown, blobs, leftovers, records, young, unnamed: kept, damaged }, terminal);
  } else print(removed, dryRun, terminal);
  if (young.length > 0) tellOfYoung(young, grace, options, site);
  if (damaged.length > 0) warnOfDamage(search.garbage, site);
  if (unnamed && isDoubtful) warnOfDoubt(site);
  else if (kept.length > 0) tellOfUnnamed(kept, site);
}

function parseKeep(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new CacheError(
    'usage',
    `--keep: not a number of entries to keep: ${JSON.stringify(text)}; write 1 or more`,
  );
}

function print({ entries, blobs, leftovers, records }: Removed, dryRun: boolean, terminal: Terminal): void {
  for (const { platform, received, softwareUrl, key } of entries) {
    const what = platform === undefined ? '' : `  ${formatPlatform(platform)}`;
    terminal.print(`entry  ${formatDate(received)}${what}  ${softwareUrl ?? key}`);
  }
  for (const { sha512, size } of blobs) terminal.print(`blob  ${formatSize(size)}  ${sha512}`);
  for (const path of leftovers) terminal.print(`leftover  ${path}`);
  for (const name of records) terminal.print(`record  ${name}`);
  const parts = [
    formatCount(entries.length, 'superseded entry'),
    formatBlobs(blobs),
    formatCount(leftovers.length, 'leftover'),
    formatCount(records.length, 'import record'),
  ];
  const isEmpty = [entries, blobs, leftovers, records].every(({ length }) => length === 0);
  const result = isEmpty
    ? 'nothing to remove'
    : `${parts.join(', ')} ${dryRun ? 'would be removed' : 'removed'}`;
  terminal.tell(dryRun ? `Dry run: ${result}` : result);
}

function tellOfUnnamed(kept: readonly GarbageBlob[], { config, terminal }: CommandSite): void {
  const pronoun = kept.length === 1 ? 'it' : 'them';
  terminal.tell(
    `${formatBlobs(kept).replace('blob', 'unnamed blob')} kept; remove ${pronoun} with: ${commandOf(config, 'gc --unnamed')}`,
  );
}

function tellOfYoung(
  young: readonly GarbageBlob[],
  grace: number,
  { grace: shown, unnamed = false }: GcOptions,
  { config, terminal }: CommandSite,
): void {
  const what = `${formatBlobs(young)} kept although no entry needs ${young.length === 1 ? 'it' : 'them'}:`;
  terminal.tell(
    grace === 0
      ? `${what} dated in the future, so a clock is or was wrong`
      : `${what} younger than ${shown}, and an entry may follow. If no import or upload is running: ${commandOf(config, `gc ${unnamed ? '--unnamed ' : ''}--grace 0`)}`,
  );
}

function warnOfDoubt({ config, terminal }: CommandSite): void {
  terminal.warn(
    `cache: all blobs were kept, because the store has no entry at all: is a disk missing that holds its bdir? If nothing is missing: ${commandOf(config, 'gc --unnamed --allow-empty')}`,
  );
  endWith(EXIT.incomplete);
}

function warnOfDamage({ damaged }: Garbage, { config, terminal }: CommandSite): void {
  terminal.warn(
    `cache: all entries and blobs were kept, because of ${formatCount(damaged.length, 'entry')} that can't be read and may name any of them; heal it first: ${commandOf(config, 'verify --heal-from PLACE')}; or move it to quarantine: ${commandOf(config, 'verify --repair')}`,
  );
  endWith(EXIT.incomplete);
}
