import { formatSize } from '../../cache/amount.ts';
import { asOneLine } from '../../cache/controls.ts';
import { formatDuration } from './format.ts';

/** A progress line, rewritten in place; nothing unless stderr is a terminal. */
export interface Progress {
  /**
   * @param label name of the current object
   * @param bytes done since the last call
   * @param size of the object in bytes; also shows its own progress
   */
  advance(label: string, bytes: number, size?: number): void;
  /** Adds bytes that are still to be done to the total. */
  expect(bytes: number): void;
  /** Clears the line before other output. */
  clear(): void;
}

const REDRAW_MS = 100;
const BAR_WIDTH = 20;
/** Columns for the label; with less, a shorter form is taken. */
const LEAST_LABEL = 20;
/** Stands for the beginning of a label; ASCII, as the bar, for the consoles of servers. */
const CUT = '...';

/** @param expected bytes; undefined if unknown */
export function createProgress(
  expected: number | undefined,
  { quiet }: { readonly quiet: boolean },
): Progress {
  const { stderr } = process;
  if (quiet || !stderr.isTTY)
    return { advance: () => undefined, expect: () => undefined, clear: () => undefined };
  const begin = performance.now();
  let total = expected;
  let done = 0;
  let drawn = 0;
  let current = { label: '', done: 0 };
  return {
    advance(label, bytes, size) {
      done += bytes;
      current = { label, done: (current.label === label ? current.done : 0) + bytes };
      const now = performance.now();
      if (now - drawn < REDRAW_MS) return;
      drawn = now;
      // Of a single object the total says it.
      const part = size === undefined || size === total ? '' : `${formatPart(current.done, size)} of `;
      const forms = formatProgress(done, total, (now - begin) / 1000).map((form) => `${form}  ${part}`);
      const width = stderr.columns - 1;
      const form = forms.find((text) => text.length + LEAST_LABEL <= width) ?? forms.at(-1) ?? '';
      stderr.write(`\r\x1b[K${fit(form, asOneLine(label), width)}`);
    },
    expect: (bytes) => {
      total = (total ?? 0) + bytes;
    },
    clear: () => void stderr.write('\r\x1b[K'),
  };
}

/** Shows the end of a label that is too long, because paths and URLs share their beginnings. */
function fit(text: string, label: string, width: number): string {
  const room = width - text.length;
  if (label.length <= room) return text + label;
  return (text + CUT + label.slice(label.length - Math.max(0, room - CUT.length))).slice(
    0,
    Math.max(0, width),
  );
}

/**
 * `[#####...............]  25%  75.0 MiB of 300.0 MiB  120.5 MiB/s  0:02 left`, and shorter forms for narrow terminals:
 * without the bar, then without the sizes. With no total: how much and how fast.
 */
function formatProgress(done: number, total: number | undefined, seconds: number): readonly string[] {
  const rate = seconds > 0 ? done / seconds : 0;
  const speed = `${formatSize(rate)}/s`;
  if (total === undefined) return [`${formatSize(done)}  ${speed}`];
  const filled = Math.round((total === 0 ? 1 : Math.min(1, done / total)) * BAR_WIDTH);
  const bar = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] `;
  const part = formatPart(done, total).padStart(4);
  const sizes = `  ${formatSize(done)} of ${formatSize(total)}`;
  const rest = `  ${speed}${rate > 0 ? `  ${formatDuration(Math.max(0, total - done) / rate)} left` : ''}`;
  return [bar + part + sizes + rest, part + sizes + rest, part + rest];
}

function formatPart(done: number, total: number): string {
  return `${Math.floor((total === 0 ? 1 : Math.min(1, done / total)) * 100)}%`;
}
