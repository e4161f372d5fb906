import type { EditedLine } from '../../config/replace-section.ts';

/** Unchanged lines shown around a change. */
const CONTEXT = 3;

/**
 * The changes of a file in the unified format, which patch(1) takes; empty without a change.
 * @param from name of the old file @param to name of the new one
 */
export function formatDiff(lines: readonly EditedLine[], from: string, to: string): string {
  const output: string[] = [];
  let old = 0;
  let now = 0;
  let at = 0;
  const starts = lines.map(({ change }) => {
    const start = [old, now] as const;
    if (change !== 'added') old++;
    if (change !== 'removed') now++;
    return start;
  });
  while (at < lines.length) {
    const first = lines.findIndex((line, index) => index >= at && line.change !== 'kept');
    if (first === -1) break;
    const begin = Math.max(at, first - CONTEXT);
    let end = first + 1;
    for (let next = end; next < lines.length && next < end + 2 * CONTEXT; next++)
      if (lines[next]?.change !== 'kept') end = next + 1;
    const hunk = lines.slice(begin, end + CONTEXT);
    const [oldStart, newStart] = starts[begin] ?? [0, 0];
    const oldCount = hunk.filter((line) => line.change !== 'added').length;
    const newCount = hunk.filter((line) => line.change !== 'removed').length;
    output.push(`@@ -${range(oldStart, oldCount)} +${range(newStart, newCount)} @@\n`);
    for (const { change, text } of hunk)
      output.push(SIGNS[change] + text + (text.endsWith('\n') ? '' : '\n\\ No newline at end of file\n'));
    at = end + CONTEXT;
  }
  return output.length === 0 ? '' : [`--- ${from}\n+++ ${to}\n`, ...output].join('');
}

const SIGNS = { kept: ' ', removed: '-', added: '+' } as const;

/** @param start lines before the range; an empty range is counted from the line before it */
function range(start: number, count: number): string {
  return `${count === 0 ? start : start + 1},${count}`;
}
