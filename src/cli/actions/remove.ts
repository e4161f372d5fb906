import { formatCount } from '../../cache/amount.ts';
import { formatPlatform, isCompatible, parseOs, type Platform } from '../../cache/platform.ts';
import type { Key } from '../../cache/key.ts';
import { commandOf } from '../../operations/command-line.ts';
import { keyOf } from '../../operations/lookup.ts';
import type { RemovedBlobs } from '../../operations/upkeep/collect-garbage.ts';
import type { GarbageBlob } from '../../operations/upkeep/garbage.ts';
import { removeRelease, type RemovedEntry } from '../../operations/upkeep/remove-release.ts';
import { removeUnnamed } from '../../operations/upkeep/remove-unnamed.ts';
import type { RemoveOptions } from '../commands/remove.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson, withUrl, type JsonOutput } from '../json-output.ts';
import { createKnownReleases, inStore } from '../known-releases.ts';
import { checkMultiarch, parseOption } from '../parse-option.ts';
import { openStoreSite, type CommandSite, type MachineOptions } from '../site.ts';
import { formatBlobs, formatDate } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';
import { pinnedKeys } from '../../operations/upkeep/pinned-keys.ts';

/** The result for one URL or key. */
interface RemovedTarget {
  readonly target: string;
  readonly key: Key;
  readonly outcome: 'removed' | 'found' | 'unknown' | 'pinned';
  /** Entries removed, or to be removed in a dry run. */
  readonly entries: readonly RemovedEntry[];
  /** Name in `[pin]`. */
  readonly pin?: string;
}

export async function remove(targets: readonly string[], options: RemoveOptions): Promise<void> {
  const { json = false, dryRun = false } = options;
  const site = await openStoreSite(options);
  const { config, terminal } = site;
  const matches = matcherOf(options);
  const pins = pinnedKeys(config);
  const store = await site.store(dryRun ? 'inspect' : 'upkeep');
  const known = createKnownReleases(site, inStore(store));
  // Parses all before it removes anything: one may be wrong.
  const keys = new Map<string, Key>();
  for (const text of targets) {
    const target = await known.resolve(text, dryRun);
    keys.set(target, keyOf(target));
  }
  const since = Date.now();
  const results: RemovedTarget[] = [];
  for (const [target, key] of keys) {
    const pin = pins.get(key);
    if (pin !== undefined) {
      results.push({ target, key, outcome: 'pinned', entries: [], pin });
      terminal.warn(
        `cache: ${target} is pinned and stays; to remove it, first remove the line "${pin} = …" from [pin] of ${config.file ?? 'the configuration'}`,
      );
      continue;
    }
    const { directory } = store;
    const entries = await removeRelease(key, store, { matches, dryRun });
    const outcome = entries.length === 0 ? 'unknown' : dryRun ? 'found' : 'removed';
    results.push({ target, key, outcome, entries });
    if (outcome !== 'unknown') continue;
    const others = matches === undefined ? 0 : (await directory.digests(key)).length;
    terminal.warn(`cache: ${describeMiss(others)}: ${target}`);
    if (others > 0) continue;
    for (const url of await known.suggest(target)) terminal.warn(`cache: did you mean ${url} ?`);
  }
  const entries = results.flatMap((result) => result.entries);
  const freed = await removeUnnamed(store, entries, { since, dryRun });
  if (json) printJson('remove', toJson(results, freed.blobs), terminal);
  else if (entries.length > 0) printRemoved(entries, freed, dryRun, terminal);
  if (!freed.isAllSeen) warnOfDamage(site);
  if (results.some(({ outcome }) => outcome === 'unknown' || outcome === 'pinned')) endWith(EXIT.incomplete);
}

/** @param others entries for other platforms */
function describeMiss(others: number): string {
  if (others === 0) return 'no entry in the store';
  return others === 1
    ? 'its only entry is for another platform'
    : `its ${others} entries are for other platforms`;
}

/** @returns undefined for every platform */
function matcherOf({ os, multiarch }: MachineOptions): ((platform: Platform) => boolean) | undefined {
  if (os === undefined && multiarch === undefined) return undefined;
  const system = os === undefined ? undefined : parseOption('--os', () => parseOs(os));
  checkMultiarch(multiarch);
  return (platform) =>
    isCompatible(platform, { os: system ?? platform.os, multiarch: multiarch ?? platform.multiarch });
}

/** Results with the removed blobs; in a dry run, with those to be removed. */
function toJson(results: readonly RemovedTarget[], blobs: readonly GarbageBlob[]): JsonOutput<'remove'> {
  return results.map(({ target, key, outcome: status, entries, pin }) => ({
    ...{ status, ...(target === key ? {} : { url: target }), key, pin },
    entries: entries.map(({ received, ...entry }) => ({
      ...withUrl(entry),
      received: received?.toISOString(),
    })),
    blobs: blobs.filter(({ sha512 }) => entries.some((entry) => entry.sha512 === sha512)),
  }));
}

function printRemoved(
  entries: readonly RemovedEntry[],
  { blobs }: RemovedBlobs,
  dryRun: boolean,
  terminal: Terminal,
): void {
  terminal.print(
    formatTable(
      ['PLATFORM', 'RECEIVED', 'URL OR KEY'],
      entries.map(({ platform, received, softwareUrl, key }) => [
        platform === undefined ? '?' : formatPlatform(platform),
        received === undefined ? 'damaged' : formatDate(received),
        softwareUrl ?? key,
      ]),
    ),
  );
  terminal.tell(
    `${dryRun ? 'Dry run: ' : ''}${formatCount(entries.length, 'entry')}, ${formatBlobs(blobs)} ${dryRun ? 'would be removed' : 'removed'}`,
  );
}

function warnOfDamage({ config, terminal }: CommandSite): void {
  terminal.warn(
    `cache: the blobs were kept: an entry that cannot be read may name them. Heal it with: ${commandOf(config, 'verify --heal-from PLACE')}; then remove the blobs with: ${commandOf(config, 'gc --unnamed')}`,
  );
  endWith(EXIT.incomplete);
}
