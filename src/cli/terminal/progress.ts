import { asOneLine } from '../../cache/controls.ts';
import { formatDuration, formatSize } from './format.ts';

/** A progress line, rewritten in place; nothing unless stderr is a terminal. */
export interface Progress {
  /**
   * @param label name of the current object
   * @param bytes done since the last call
   * @param size of the object in bytes; also shows its own progress
   */
  advance(label: string, bytes: number, size?: number): void;
  /** Clears the line before other output. */
  clear(): void;
}

const REDRAW_MS = 100;
const BAR_WIDTH = 20;
/** Replaces the beginning of a long label; ASCII for server consoles. */
const CUT = '...';

/** @param total bytes; undefined if unknown */
export function createProgress(total: number | undefined, { quiet }: { readonly quiet: boolean }): Progress {
  const { stderr } = process;
  if (quiet || !stderr.isTTY) return { advance: () => undefined, clear: () => undefined };
  const begin = performance.now();
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
      const part = size === undefined ? '' : `${formatPart(current.done, size)} of `;
      const text = `${formatProgress(done, total, (now - begin) / 1000)}  ${part}`;
      stderr.write(`\r\x1b[K${fit(text, asOneLine(label), stderr.columns - 1)}`);
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

/** `[#####...............]  25%  75.0 MiB of 300.0 MiB  120.5 MiB/s  0:02 left`, or only size and rate. */
function formatProgress(done: number, total: number | undefined, seconds: number): string {
  const rate = seconds > 0 ? done / seconds : 0;
  if (total === undefined) return `${formatSize(done)}  ${formatSize(rate)}/s`;
  const filled = Math.round((total === 0 ? 1 : Math.min(1, done / total)) * BAR_WIDTH);
  const left = rate > 0 ? `  ${formatDuration(Math.max(0, total - done) / rate)} left` : '';
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${formatPart(done, total).padStart(4)}  ${formatSize(done)} of ${formatSize(total)}  ${formatSize(rate)}/s${left}`;
}

function formatPart(done: number, total: number): string {
  return `${Math.floor((total === 0 ? 1 : Math.min(1, done / total)) * 100)}%`;
}
