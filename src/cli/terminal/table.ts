import { asOneLine } from '../../cache/controls.ts';

const GAP = '  ';

/**
 * Rows under headings, aligned by spaces, without lines around: it reads well and can be cut by awk.
 * @param columns of the terminal: cells that don't fit go on in the next line, see `formatRow`; Infinity where stdout
 *   is no terminal
 */
export function formatTable(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  columns = columnsOf(process.stdout),
): string {
  const lines = [headings, ...rows].map((row) => row.map(toCell));
  const widths = headings.slice(1).map(() => 0);
  for (const cells of lines)
    for (const column of widths.keys())
      widths[column] = Math.max(widths[column] ?? 0, cells[column]?.width ?? 0);
  return lines.map((cells) => layOut(cells, widths, columns)).join('\n');
}

/** Columns of a terminal; Infinity for a file or pipe, and for a terminal of unknown size. */
export function columnsOf({ isTTY, columns }: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>): number {
  return isTTY && columns > 0 ? columns : Infinity;
}

/**
 * A row of a table whose other rows are not known, see `formatTable`.
 * @param widths of the first cells; a wider cell moves those behind it
 */
export function formatRow(
  texts: readonly string[],
  widths: readonly number[],
  columns = columnsOf(process.stdout),
): string {
  return layOut(texts.map(toCell), widths, columns);
}

/**
 * Cells side by side; those that don't fit begin another line, indented. Nothing is cut or broken, so that a path or URL
 * can be copied: what is longer than a line begins without indentation, and the terminal breaks it.
 */
function layOut(cells: readonly Cell[], widths: readonly number[], columns: number): string {
  const lines: string[] = [];
  let line = '';
  let used = 0;
  for (const [column, cell] of cells.entries()) {
    const width = Math.max(cell.width, Math.min(widths[column] ?? 0, columns - GAP.length));
    if (column > 0 && used + GAP.length + width > columns) {
      lines.push(line);
      [line, used] = GAP.length + cell.width > columns ? ['', 0] : [GAP, GAP.length];
    } else if (column > 0) {
      line += GAP;
      used += GAP.length;
    }
    line += cell.text + ' '.repeat(width - cell.width);
    used += width;
  }
  return [...lines, line]
    .map((text) => text.trimEnd())
    .filter((text, index) => index === 0 || text !== '')
    .join('\n');
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
