import { asOneLine } from '../../cache/controls.ts';

const GAP = '  ';

/** Rows under headings, aligned by spaces, so that awk can split them. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [headings, ...rows].map((row) => row.map(toCell));
  const widths = headings.map(() => 0);
  for (const cells of lines) {
    for (const [column, { width }] of cells.entries()) widths[column] = Math.max(widths[column] ?? 0, width);
  }
  return lines
    .map((cells) =>
      cells
        .map(({ text, width }, column) => text + ' '.repeat((widths[column] ?? 0) - width))
        .join(GAP)
        .trimEnd(),
    )
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

function widthOf(text: string): number {
  // Segmenting a long text is slow, and it fits no terminal.
  if (text.length > WIDTH_LIMIT || /^[ -~]*$/.test(text)) return text.length;
  let width = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) width += WIDE.test(segment) ? 2 : 1;
  return width;
}
