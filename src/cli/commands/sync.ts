import { CacheError } from '../../cache/errors.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { syncToServer, syncToStore, type SyncResult } from '../../operations/sync.ts';
import type { CommonOptions } from '../common-options.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { isSamePlace, openSource, openTarget } from '../place.ts';
import { readConfig, readTrusted } from '../site.ts';
import { createProgress } from '../terminal/progress.ts';
import { formatTable } from '../terminal/table.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface SyncOptions extends CommonOptions {
  readonly ca?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** What is shown of a sync: nothing is kept of the entries, perhaps a million, that were there already. */
interface Summary {
  readonly counts: Map<SyncResult['outcome'], number>;
  readonly changes: SyncResult[];
}

export async function sync(from: string, to: string, options: SyncOptions): Promise<void> {
  const { ca, quiet = false, dryRun = false, json = false } = options;
  const terminal = createTerminal({ quiet });
  const config = await readConfig(options.config);
  if (await isSamePlace(from, to)) throw new CacheError('usage', 'FROM and TO are the same; name two places');
  const source = await openSource(from, config, terminal, { ca });
  const trusted = await readTrusted(config);
  const target = await openTarget(to, config, terminal, { ca, dryRun });
  const progress = createProgress(undefined, { quiet });
  const syncOptions = {
    ...{ trusted, dryRun },
    onProgress: ({ softwareUrl, sha512 }: Labelled, bytes: number, size: number | undefined) => {
      progress.advance(softwareUrl ?? sha512, bytes, size);
    },
  };
  const results =
    target.kind === 'server'
      ? syncToServer(source, target.server, syncOptions)
      : syncToStore(source, target.store, syncOptions);
  const summary: Summary = { counts: new Map(), changes: [] };
  try {
    for await (const result of results) {
      summary.counts.set(result.outcome, (summary.counts.get(result.outcome) ?? 0) + 1);
      if (result.outcome !== 'unchanged') summary.changes.push(result);
    }
  } finally {
    progress.clear();
    // A sync that is broken off has done what it has done.
    if (json) printJson(summary, terminal);
    else print(summary, terminal);
  }
  if (summary.counts.has('refused') || summary.counts.has('unreadable')) endWith(EXIT.incomplete);
}

interface Labelled {
  readonly softwareUrl: string | undefined;
  readonly sha512: string;
}

const OUTCOMES = ['copied', 'missing', 'unchanged', 'left-out', 'refused', 'unreadable'] as const;

function print({ counts, changes }: Summary, terminal: Terminal): void {
  if (changes.length > 0) {
    terminal.print(
      formatTable(
        ['RESULT', 'PLATFORM', 'URL OR KEY'],
        changes.map((change) => [
          isFault(change) ? change.outcome.toUpperCase() : change.outcome,
          'entry' in change && change.entry.platform !== undefined
            ? formatPlatform(change.entry.platform)
            : '',
          nameOf(change),
        ]),
      ),
    );
  }
  for (const change of changes) {
    if ('reason' in change) terminal.warn(`cache: ${nameOf(change)}: ${change.reason}`);
  }
  if (counts.has('left-out'))
    terminal.tell('cache: what is left out is older than what is there: a server would make it the newest');
  const parts = OUTCOMES.filter((outcome) => counts.has(outcome)).map(
    (outcome) => `${counts.get(outcome) ?? 0} ${outcome}`,
  );
  terminal.tell(parts.length === 0 ? 'there is nothing to copy' : parts.join(', '));
}

function isFault({ outcome }: SyncResult): boolean {
  return outcome === 'refused' || outcome === 'unreadable';
}

function nameOf(result: SyncResult): string {
  return 'entry' in result ? (result.entry.softwareUrl ?? result.key) : result.key;
}

function printJson({ counts, changes }: Summary, terminal: Terminal): void {
  const shown = changes.map((change) => ({
    key: change.key,
    ...('entry' in change
      ? {
          softwareUrl: change.entry.softwareUrl,
          platform: change.entry.platform,
          sha512: change.entry.sha512,
        }
      : {}),
    outcome: change.outcome,
    ...('reason' in change ? { reason: change.reason } : {}),
  }));
  terminal.print(JSON.stringify({ counts: Object.fromEntries(counts), changes: shown }, undefined, 2));
}
