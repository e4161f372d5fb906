import { columnsOf, widthOf } from './table.ts';

/** A command begins with one of these, at the beginning of a line or after such a word. */
const COMMAND =
  /(?:^|: |-> |\bthen |\brun )(?=(?:(?:\/\S*\/)?cache(?:-[\w-]+)?|apt|chmod|chown|curl|mkdir|openssl|tar|umount) )/g;
/** A word, or a quoted text at the place of one, with the space before it. */
const WORD = /(\s*)((?:'[^']*'|"[^"]*"|\S)\S*)/g;
/** SHA-256 of a certificate, as openssl writes it, with the signs behind it. */
const FINGERPRINT = /^((?:[0-9A-F]{2}:){16})((?:[0-9A-F]{2}:){15}[0-9A-F]{2}\S*)$/;

/**
 * A text for a stream. For a terminal, long lines are broken at spaces, and a fingerprint has two lines of its own, to
 * be compared by eye; a command, a quoted text, a path and a URL stay whole, so that they can be copied. For a file or
 * pipe: the text itself.
 */
export function wrapFor(stream: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>, text: string): string {
  const columns = columnsOf(stream);
  if (columns === Infinity) return text;
  return text
    .split('\n')
    .map((line) => (widthOf(line) <= columns ? line : wrapLine(line, columns)))
    .join('\n');
}

function wrapLine(text: string, columns: number): string {
  const indent = /^ */.exec(text)?.[0] ?? '';
  const lines: string[] = [];
  let line = '';
  for (const { gap, word } of partsOf(text.slice(indent.length).trimEnd())) {
    const [, first, second = ''] = FINGERPRINT.exec(word) ?? [];
    if (first !== undefined) {
      const inner = lines.length === 0 && line === '' ? indent : `${indent}  `;
      lines.push(line, inner + first, inner + second);
      line = '';
    } else if (line === '') line = indent + word;
    else if (widthOf(line) + gap.length + widthOf(word) <= columns) line += gap + word;
    else {
      lines.push(line);
      line = widthOf(indent + word) > columns ? word : indent + word;
    }
  }
  return [...lines, line].filter((shown) => shown !== '').join('\n');
}

interface Part {
  /** The space before it. */
  readonly gap: string;
  readonly word: string;
}

/** The words of a line; a command is one part. */
function partsOf(text: string): readonly Part[] {
  const parts: Part[] = [];
  const starts = new Set([...text.matchAll(COMMAND)].map((found) => found.index + found[0].length));
  let isCommand = false;
  for (const { index, 1: gap = '', 2: word = '' } of text.matchAll(WORD)) {
    const before = isCommand ? parts.pop() : undefined;
    parts.push(before === undefined ? { gap, word } : { gap: before.gap, word: before.word + gap + word });
    isCommand ||= starts.has(index + gap.length);
    // It ends with the line, or with a sign that separates clauses.
    if (/[;,)]$|[^.]\.$/.test(word)) isCommand = false;
  }
  return parts;
}
