import { formatPlatform, type Platform } from '../cache/platform.ts';
import { formatSize } from './terminal/format.ts';
import { formatTable } from './terminal/table.ts';
import type { Terminal } from './terminal/terminal.ts';
import { asOneLine } from '../cache/controls.ts';

/** What became of a release that was to be put into the store. */
export type ReleaseResult = RefusedRelease | AcceptedRelease;

interface RefusedRelease {
  /** Its archive or folder. */
  readonly file: string;
  readonly outcome: 'refused';
  readonly reason: string;
}

interface AcceptedRelease {
  readonly file: string;
  readonly outcome: (typeof GOOD_OUTCOMES)[number];
  readonly platform: Platform;
  /** Bytes. */
  readonly size: number;
  readonly softwareUrl: string;
  readonly warnings: readonly string[];
}

const GOOD_OUTCOMES = ['imported', 'packed', 'unchanged', 'checked'] as const;

/** The table that sums up, then what needs a person's eye. */
export function printResults(results: readonly ReleaseResult[], terminal: Terminal): void {
  if (results.length === 0) return;
  terminal.print(
    formatTable(
      ['ARCHIVE', 'RESULT', 'PLATFORM', 'SIZE', 'URL'],
      results.map((result) =>
        result.outcome === 'refused'
          ? [result.file, 'REFUSED', '', '', '']
          : [
              result.file,
              result.outcome,
              formatPlatform(result.platform),
              formatSize(result.size),
              result.softwareUrl,
            ],
      ),
    ),
  );
  for (const result of results) {
    if (result.outcome === 'refused') terminal.warn(`cache: ${asOneLine(result.file)}: ${result.reason}`);
    else
      for (const warning of result.warnings)
        terminal.warn(`cache: ${asOneLine(result.file)}: note: ${warning}`);
  }
  const count = (outcome: ReleaseResult['outcome']): number =>
    results.filter((result) => result.outcome === outcome).length;
  const parts = [...GOOD_OUTCOMES, 'refused' as const]
    .map((outcome) => ({ outcome, number: count(outcome) }))
    .filter(({ number }) => number > 0)
    .map(({ outcome, number }) => `${number} ${outcome}`);
  terminal.tell(parts.join(', '));
}
