import { asOneLine } from '../../cache/controls.ts';

const GAP = '  ';
/** Marks where text was cut; ASCII, for the consoles of servers. */
const CUT = '...';
/** Columns that the last cell of a row needs to say something; with less it gets a line of its own. */
const LEAST_LAST = 40;
/** The same for any other cell, such as `ubuntu 22.04 x86_64-linux-gnu`. */
const LEAST = 29;

/**
 * Rows under headings, aligned by spaces, without lines around: it reads well and can be cut by awk.
 * @param columns of the terminal: what does not fit is cut at its beginning, because paths and URLs differ at their ends;
 *   Infinity where stdout is no terminal
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  columns = process.stdout.isTTY ? process.stdout.columns : Infinity,
): string {
  const lines = [headings, ...rows].map((row) => row.map(toCell));
  const widths = headings.map(() => 0);
  for (const cells of lines)
    for (const [column, { width }] of cells.entries()) widths[column] = Math.max(widths[column] ?? 0, width);
  const last = widths.pop() ?? 0;
  const room = columns - widths.reduce((sum, width) => sum + width + GAP.length, 0);
  if (room >= Math.min(last, LEAST_LAST))
    return lines.map((cells) => formatRow(cells, [...widths, room])).join('\n');
  shrink(widths, columns);
  const parts = partsOf(widths, columns);
  return lines
    .flatMap((cells) =>
      [
        ...parts.map(([from, to]) => formatRow(cells.slice(from, to), widths.slice(from, to))),
        ...cells.slice(-1).map(({ text }) => keepEnd(text, columns - GAP.length)),
      ].map((line, index) => (index === 0 || line === '' ? line : GAP + line)),
    )
    .filter((line) => line !== '')
    .join('\n');
}

function formatRow(cells: readonly Cell[], widths: readonly number[]): string {
  return cells
    .map(({ text, width }, column) => {
      const most = widths[column] ?? 0;
      if (width > most) return keepEnd(text, most).padEnd(most);
      return column === cells.length - 1 ? text : text + ' '.repeat(most - width);
    })
    .join(GAP)
    .trimEnd();
}

/** Makes the widest columns narrower until all fit side by side, or would say too little. */
function shrink(widths: number[], columns: number): void {
  const room = columns - GAP.length * (widths.length - 1);
  for (let excess = widths.reduce((sum, width) => sum + width, 0) - room; excess > 0; excess--) {
    const widest = widths.reduce((best, width, column) => (width > (widths[best] ?? 0) ? column : best), 0);
    if ((widths[widest] ?? 0) <= Math.min(LEAST, columns - GAP.length)) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

/** The cells of each line of a row, as `[from, to]`: those that fit side by side. */
function partsOf(widths: readonly number[], columns: number): readonly (readonly [number, number])[] {
  const parts: [number, number][] = [];
  let used = Infinity;
  for (const [column, width] of widths.entries()) {
    const last = parts.at(-1);
    if (last !== undefined && used + GAP.length + width <= columns) {
      last[1] = column + 1;
      used += GAP.length + width;
    } else {
      parts.push([column, column + 1]);
      used = width + (parts.length === 1 ? 0 : GAP.length);
    }
  }
  return parts;
}

/**
 * The end of a text, from the beginning of a word or of a part of a path; where there is none, its beginning and its
 * end, as the name of a file needs.
 */
function keepEnd(text: string, most: number): string {
  if (widthOf(text) <= most) return text;
  if (most <= CUT.length) return CUT.slice(0, Math.max(0, most));
  const end = endOf(text, most - CUT.length);
  const word = end.search(/[ /](?![ /])/);
  if (word >= 0 && word <= end.length / 2) return CUT + end.slice(word);
  const half = Math.floor((most - CUT.length) / 2);
  const begin = text.slice(0, half);
  return /^[!-.0-~]*$/.test(begin) ? begin + CUT + endOf(text, most - CUT.length - half) : CUT + end;
}

/** As many characters of the end as `most` columns hold. */
function endOf(text: string, most: number): string {
  const end = text.slice(-most);
  if (widthOf(end) <= most) return end;
  const parts = [...new Intl.Segmenter().segment(end)].map(({ segment }) => segment);
  let width = widthOf(end);
  while (width > most) width -= widthOf(parts.shift() ?? '');
  return parts.join('');
}

interface Cell {
  readonly text: string;
  /** Columns of the terminal. */
  readonly width: number;
}

function toCell(content: string): Cell {
  const text = asOneLine(content);
  return { text, width: widthOf(text) };
}

/** Letters that take two columns (Unicode, UAX #11), and pictures. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}]/u;

/** Characters. */
const WIDTH_LIMIT = 4096;

/** Columns of the terminal that a text takes. */
export function widthOf(text: string): number {
  // To segment a long text may take very long, and it fits no terminal.
  if (text.length > WIDTH_LIMIT || /^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}
