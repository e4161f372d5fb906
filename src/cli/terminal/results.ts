import { asOneLine } from '../../cache/controls.ts';
import { formatTable } from './table.ts';
import type { Terminal } from './terminal.ts';

/** The results of a command, row by row. */
export interface Results {
  readonly headings: readonly string[];
  readonly rows: readonly ResultRow[];
  /** Explains an outcome. */
  readonly note?: string | undefined;
  /** Number of each outcome, see `formatCounts`. */
  readonly summary: string;
}

export interface ResultRow {
  readonly cells: readonly string[];
  /** The archive, URL or key of the reasons. */
  readonly name: string;
  /** Reasons of a refusal, or warnings. */
  readonly reasons: readonly string[];
}

/** Prints the table, if it has rows, on stdout, then a line for each reason, the note and the summary on stderr. */
export function printResults({ headings, rows, note, summary }: Results, terminal: Terminal): void {
  if (rows.length > 0)
    terminal.print(
      formatTable(
        headings,
        rows.map(({ cells }) => cells),
      ),
    );
  for (const { name, reasons } of rows)
    for (const reason of reasons) terminal.warn(`cache: ${asOneLine(`${name}: ${reason}`)}`);
  if (note !== undefined) terminal.tell(note);
  terminal.tell(summary);
}

/** Number of results with each outcome. */
export function countOutcomes<Outcome extends string>(
  results: readonly { readonly outcome: Outcome }[],
): ReadonlyMap<Outcome, number> {
  const counts = new Map<Outcome, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return counts;
}

/** `2 imported, 1 refused`, in the order of the labels. */
export function formatCounts<Outcome extends string>(
  counts: ReadonlyMap<string, number>,
  labels: Readonly<Record<Outcome, string>>,
): string {
  return Object.entries<string>(labels)
    .map(([outcome, label]) => ({ count: counts.get(outcome) ?? 0, label }))
    .filter(({ count }) => count > 0)
    .map(({ count, label }) => `${count} ${label}`)
    .join(', ');
}
