import { CacheError } from '../../cache/errors.ts';
import type { Store } from '../../cache/store.ts';
import { formatPlatform, type Platform } from '../../cache/platform.ts';
import { syncToServer, syncToStore, type SyncResult } from '../../operations/sync.ts';
import type { BlobName } from '../../operations/transfer.ts';
import type { SyncOptions } from '../commands/sync.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson, withJsonNames, type JsonOutput } from '../json-output.ts';
import { isSameFolder, isSameServer, openSource, openTargetStore, urlsOfPlace } from '../store-location.ts';
import { checkCa, openServer, warnOfDoubts } from '../servers.ts';
import { openSite } from '../site.ts';
import { createProgress } from '../terminal/progress.ts';
import { byUrlOrKey } from '../terminal/format.ts';
import { formatCounts, printResults } from '../terminal/results.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** What is shown of an entry, or of a key that can't be read. */
interface Change {
  readonly key: string;
  readonly softwareUrl?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly sha512?: string;
  readonly outcome: SyncResult['outcome'];
  readonly reason?: string | undefined;
}

/** Nothing is kept of the entries, perhaps a million, that were there already. */
interface Summary {
  readonly counts: Map<SyncResult['outcome'], number>;
  readonly changes: Change[];
}

export async function sync(from: string, to: string, options: SyncOptions): Promise<void> {
  const { ca, quiet = false, dryRun = false, json = false, acceptOlder = false } = options;
  const site = await openSite(options);
  const { terminal } = site;
  const fromDir = { option: '--from-dir', url: options.fromDir };
  const fromUrls = urlsOfPlace('FROM', from, site, fromDir);
  const toUrls = urlsOfPlace('TO', to, site, { option: '--to-dir', url: options.toDir });
  const isSame =
    fromUrls === undefined || toUrls === undefined
      ? fromUrls === toUrls && (await isSameFolder(from, to))
      : isSameServer(fromUrls, toUrls);
  if (isSame) throw new CacheError('usage', 'FROM and TO are the same; name two places');
  await checkCa(ca, [fromUrls, toUrls], terminal);
  const trusted = await site.trusted();
  const server = toUrls === undefined ? undefined : await openServer(toUrls, site.config, { ca });
  let opened: Promise<Store> | undefined;
  const openStore = (): Promise<Store> => (opened ??= openTargetStore(to, site, dryRun));
  const into = server === undefined ? { store: openStore, acceptOlder } : undefined;
  const source = await openSource('FROM', from, site, { ca, into, directory: fromDir });
  const progress = createProgress(undefined, { quiet });
  const syncOptions = {
    ...{ trusted, dryRun },
    onProgress: ({ softwareUrl, sha512 }: BlobName, bytes: number, size: number | undefined) => {
      progress.advance(softwareUrl ?? sha512, bytes, size);
    },
  };
  const results =
    server === undefined
      ? syncToStore(source, await openStore(), syncOptions)
      : syncToServer(source, server, syncOptions);
  const summary: Summary = { counts: new Map(), changes: [] };
  const show = (): void => {
    progress.clear();
    if (json) printJson('sync', toJson(summary), terminal);
    else print(summary, terminal);
  };
  try {
    for await (const result of results) note(result, summary);
  } catch (error) {
    // What was copied before it broke off is there.
    if (json || summary.counts.size > 0) show();
    throw error;
  }
  show();
  if (FAILURES.some((outcome) => summary.counts.has(outcome))) endWith(EXIT.incomplete);
  await warnOfDoubts(source, terminal);
}

function note(result: SyncResult, { counts, changes }: Summary): void {
  const { key, outcome } = result;
  counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  if (outcome === 'unchanged') return;
  const reason = 'reason' in result ? { reason: result.reason } : {};
  if (!('entry' in result)) changes.push({ key, outcome, ...reason });
  else {
    const { softwareUrl, platform, sha512 } = result.entry;
    changes.push({ key, softwareUrl, platform, sha512, outcome, ...reason });
  }
}

const FAILURES = ['refused', 'unreadable', 'not-copied'] as const;

/** In the order of the summary. */
const LABELS: Readonly<Record<SyncResult['outcome'], string>> = {
  copied: 'copied',
  'to-copy': 'to be copied',
  unchanged: 'unchanged',
  'left-out': 'left-out',
  refused: 'refused',
  unreadable: 'unreadable',
  'not-copied': 'not-copied',
};

function print({ counts, ...summary }: Summary, terminal: Terminal): void {
  const changes = [...summary.changes].sort(byUrlOrKey);
  const written = counts.has('to-copy') ? '; nothing was written' : '';
  printResults(
    {
      headings: ['RESULT', 'PLATFORM', 'URL OR KEY'],
      rows: changes.map(({ key, softwareUrl, platform, outcome, reason }) => ({
        cells: [
          reason === undefined ? outcome : outcome.toUpperCase(),
          platform === undefined ? '' : formatPlatform(platform),
          softwareUrl ?? key,
        ],
        name: softwareUrl ?? key,
        reasons: reason === undefined ? [] : [reason],
      })),
      note: counts.has('left-out')
        ? 'what was left out is older than what is there; a server would make it the newest'
        : undefined,
      summary: counts.size === 0 ? 'there is nothing to copy' : formatCounts(counts, LABELS) + written,
    },
    terminal,
  );
}

function toJson({ counts, changes }: Summary): JsonOutput<'sync'> {
  return { counts: Object.fromEntries(counts), changes: changes.map(withJsonNames) };
}
