import { formatSize } from '../cache/amount.ts';
import { formatPlatform, type Platform } from '../cache/platform.ts';
import { countOutcomes, formatCounts, printResults, type ResultRow } from './terminal/results.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The result of importing one release. */
export type ReleaseResult = RefusedRelease | AcceptedRelease;

interface RefusedRelease {
  /** The archive or folder. */
  readonly file: string;
  readonly outcome: 'refused';
  readonly reason: string;
}

interface AcceptedRelease {
  readonly file: string;
  readonly outcome: Exclude<keyof typeof LABELS, 'refused'>;
  readonly platform: Platform;
  /** Bytes. */
  readonly size: number;
  readonly softwareUrl: string;
  readonly warnings: readonly string[];
}

/** In the order of the summary. */
const LABELS = {
  imported: 'imported',
  packed: 'packed',
  unchanged: 'unchanged',
  checked: 'checked',
  refused: 'refused',
} as const;

/** Prints the table, the refusals and the warnings. */
export function printReleaseResults(results: readonly ReleaseResult[], terminal: Terminal): void {
  if (results.length === 0) return;
  printResults(
    {
      headings: ['ARCHIVE', 'RESULT', 'PLATFORM', 'SIZE', 'URL'],
      rows: refusedLast(results).map((result) => ({
        cells:
          result.outcome === 'refused'
            ? [result.file, 'REFUSED', '', '', '']
            : [
                result.file,
                result.outcome,
                formatPlatform(result.platform),
                formatSize(result.size),
                result.softwareUrl,
              ],
        name: result.file,
        reasons:
          result.outcome === 'refused'
            ? [result.reason]
            : result.warnings.map((warning) => `note: ${warning}`),
      })),
      summary: formatCounts(countOutcomes(results), LABELS),
    },
    terminal,
  );
}

/** Refusals stand where a person looks first: right above the end. */
export function refusedLast<Result extends { readonly outcome: string }>(
  results: readonly Result[],
): readonly Result[] {
  return [
    ...results.filter(({ outcome }) => outcome !== 'refused'),
    ...results.filter(({ outcome }) => outcome === 'refused'),
  ];
}

export const RELEASE_HEADINGS = ['RESULT', 'PLATFORM', 'SIZE', 'URL OR KEY'] as const;

/** The row of a release under `RELEASE_HEADINGS`. @param refused the word for a refusal */
export function releaseRow(
  {
    outcome,
    platform,
    size,
    softwareUrl,
    key,
    reason,
  }: {
    readonly outcome: string;
    readonly platform: Platform | undefined;
    readonly size: number | undefined;
    readonly softwareUrl: string | undefined;
    readonly key: string;
    readonly reason?: string;
  },
  refused: string,
): ResultRow {
  const name = softwareUrl ?? key;
  return {
    cells: [
      outcome === 'refused' ? refused : outcome,
      platform === undefined ? '' : formatPlatform(platform),
      size === undefined ? '' : formatSize(size),
      name,
    ],
    name,
    reasons: reason === undefined ? [] : [reason],
  };
}
