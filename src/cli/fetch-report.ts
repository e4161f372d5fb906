import { formatPlatform, type Platform } from '../cache/platform.ts';
import type { FetchPlan, FetchResult, Offer } from '../operations/fetch.ts';
import { noteBlacklist } from './blacklist-note.ts';
import { formatDate, formatSize } from './terminal/format.ts';
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
  if (target !== key) noteBlacklist(target, terminal);
  if (offers.length === 0) return;
  terminal.tell(`${target}${target === key ? '' : ` (key ${key})`}`);
  const rows = offers.map(({ entry, verdict, reason }) => [
    platformOf(entry),
    verdict === 'refused' ? 'no' : 'yes',
    entry.creationDate === undefined ? '' : formatDate(entry.creationDate),
    reason === undefined ? VERDICTS[verdict] : `${VERDICTS[verdict]}: ${reason}`,
  ]);
  terminal.tell(formatTable(['PLATFORM', 'VERIFIED?', 'MADE', 'TAKEN?'], rows));
}

/** As it is shown with `--json`. */
export function toJson(fetched: readonly Fetched[]): unknown {
  return fetched.map(({ target, key, offers, results, refusal }) => ({
    target,
    key,
    refusal,
    offers: offers.map(({ entry: { platform, sha512, creationDate }, verdict, reason }) => ({
      ...{ platform, sha512, creationDate, verdict, reason },
    })),
    results: results.map(({ entry: { platform, sha512 }, outcome, size, reason }) => ({
      ...{ platform, sha512, outcome, size, reason },
    })),
  }));
}

/** The table that sums up, then what needs a person's eye. */
export function printFetched(fetched: readonly Fetched[], terminal: Terminal): void {
  const rows = fetched.flatMap(({ target, results, refusal }) =>
    refusal === undefined
      ? results.map(({ entry, outcome, size }) => [
          outcome === 'refused' ? 'REFUSED' : outcome,
          platformOf(entry),
          size === undefined ? '' : formatSize(size),
          target,
        ])
      : [['REFUSED', '', '', target]],
  );
  // The store failed at the first one.
  if (rows.length === 0) return;
  terminal.print(formatTable(['RESULT', 'PLATFORM', 'SIZE', 'URL'], rows));
  for (const { target, results, refusal } of fetched) {
    if (refusal !== undefined) terminal.warn(`cache: ${target}: ${refusal}`);
    for (const { entry, reason } of results) {
      if (reason !== undefined) terminal.warn(`cache: ${target}: ${platformOf(entry)}: ${reason}`);
    }
  }
  const outcomes = fetched.flatMap(({ results, refusal }) =>
    refusal === undefined ? results.map(({ outcome }) => outcome) : ['refused' as const],
  );
  terminal.tell(
    OUTCOMES.map((outcome) => ({ outcome, number: outcomes.filter((one) => one === outcome).length }))
      .filter(({ number }) => number > 0)
      .map(({ outcome, number }) => `${number} ${LABELS[outcome] ?? outcome}`)
      .join(', '),
  );
}

const OUTCOMES = ['fetched', 'resigned', 'to-fetch', 'to-resign', 'unchanged', 'refused'] as const;

const LABELS: Readonly<Partial<Record<FetchResult['outcome'], string>>> = {
  'to-fetch': 'to be fetched',
  'to-resign': 'to be signed again',
};

function platformOf({ platform }: { readonly platform: Platform | undefined }): string {
  return platform === undefined ? '?' : formatPlatform(platform);
}
