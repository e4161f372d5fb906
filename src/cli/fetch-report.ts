import { formatSize } from '../cache/amount.ts';
import { isSourceEntry } from '../cache/entry.ts';
import { isReleaseKey, type Key } from '../cache/key.ts';
import { formatPlatform } from '../cache/platform.ts';
import type { SourceEntry } from '../cache/source.ts';
import type { FetchPlan, FetchResult, Offer } from '../operations/fetch.ts';
import { noteBlacklist } from './blacklist-note.ts';
import { isoTime, type JsonOutput } from './json-output.ts';
import { formatDate } from './terminal/format.ts';
import { countOutcomes, formatCounts, printResults, type ResultRow } from './terminal/results.ts';
import { formatTable } from './terminal/table.ts';
import type { Terminal } from './terminal/terminal.ts';

/** A plan, and what became of it. */
export interface Fetched extends FetchPlan {
  readonly results: readonly FetchResult[];
}

const VERDICTS: Readonly<Record<Offer['verdict'], string>> = {
  wanted: 'yes',
  older: 'no: older',
  foreign: 'no: another platform',
  refused: 'no',
};

/** What there is of a release, and what of it is to be fetched. */
export function tellOffers({ target, key, offers }: FetchPlan, terminal: Terminal): void {
  if (target !== key && isReleaseKey(key)) noteBlacklist(target, terminal);
  if (offers.length === 0) return;
  terminal.tell(`${target}${target === key ? '' : ` (key ${key})`}`);
  const rows = offers.map(({ entry, verdict, reason }) => [
    placeOf(key, entry),
    verdict === 'refused' ? 'no' : 'yes',
    entry.creationDate === undefined ? '' : formatDate(entry.creationDate),
    reason === undefined ? VERDICTS[verdict] : `${VERDICTS[verdict]}: ${reason}`,
  ]);
  terminal.tell(formatTable(['PLATFORM', 'VALID?', 'MADE', 'TAKEN?'], rows));
}

/** As it is shown with `--json`. */
export function toJson(fetched: readonly Fetched[]): JsonOutput<'fetch'> {
  return fetched.map(({ target, key, offers, results, refusal: reason }) => ({
    ...(target === key ? {} : { url: target }),
    ...{ key, reason },
    offers: offers.map(({ entry: { platform, sha512, creationDate }, verdict: status, reason }) => ({
      ...{ status, platform, sha512, created: isoTime(creationDate), reason },
    })),
    results: results.map(({ entry: { platform, sha512 }, outcome: status, size, reason }) => ({
      ...{ status, platform, sha512, size, reason },
    })),
  }));
}

/** The table that sums up, then what needs a person's eye. */
export function printFetched(fetched: readonly Fetched[], terminal: Terminal): void {
  const results = fetched.flatMap((plan) => resultsOf(plan));
  // The store failed at the first one.
  if (results.length === 0) return;
  printResults(
    {
      headings: ['RESULT', 'PLATFORM', 'SIZE', 'URL'],
      rows: results,
      summary: formatCounts(countOutcomes(results), LABELS),
    },
    terminal,
  );
}

function resultsOf({
  target,
  key,
  results,
  refusal,
  isOutage = false,
}: Fetched): readonly (ResultRow & { readonly outcome: FetchResult['outcome'] })[] {
  if (refusal !== undefined) {
    const outcome = isOutage ? 'not-fetched' : 'refused';
    return [{ outcome, cells: [wordOf(outcome), '', '', target], name: target, reasons: [refusal] }];
  }
  return results.map(({ entry, outcome, size, reason }) => ({
    outcome,
    cells: [wordOf(outcome), placeOf(key, entry), size === undefined ? '' : formatSize(size), target],
    name: `${target}: ${isSourceEntry(key, entry) ? entry.sha512 : placeOf(key, entry)}`,
    reasons: reason === undefined ? [] : [reason],
  }));
}

/** A failure stands out. */
function wordOf(outcome: FetchResult['outcome']): string {
  return outcome === 'refused' || outcome === 'not-fetched' ? LABELS[outcome].toUpperCase() : outcome;
}

/** In the order of the summary. */
const LABELS: Readonly<Record<FetchResult['outcome'], string>> = {
  fetched: 'fetched',
  resigned: 'resigned',
  'to-fetch': 'to be fetched',
  'to-resign': 'to be signed again',
  unchanged: 'unchanged',
  refused: 'refused',
  'not-fetched': 'not fetched',
};

/** The platform of a build, or the name of a source file. */
function placeOf(key: Key, entry: SourceEntry): string {
  if (isSourceEntry(key, entry)) return ['source', entry.url ?? entry.basename ?? ''].join(' ').trimEnd();
  return entry.platform === undefined ? '?' : formatPlatform(entry.platform);
}
