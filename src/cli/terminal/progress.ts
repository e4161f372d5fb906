import { formatDuration, formatSize } from './format.ts';

/** A line that is written over and over while work goes on; nothing where stderr is no terminal. */
export interface Progress {
  /** @param label what is worked on @param bytes done since the last call */
  advance(label: string, bytes: number): void;
  /** Takes the line away, so that something else can be written. */
  clear(): void;
}

const REDRAW_MS = 100;
const BAR_WIDTH = 20;

/** @param total bytes */
export function createProgress(total: number, { quiet }: { readonly quiet: boolean }): Progress {
  const { stderr } = process;
  if (quiet || !stderr.isTTY) return { advance: () => undefined, clear: () => undefined };
  const begin = performance.now();
  let done = 0;
  let drawn = 0;
  return {
    advance(label, bytes) {
      done += bytes;
      const now = performance.now();
      if (now - drawn < REDRAW_MS) return;
      drawn = now;
      stderr.write(`\r\x1b[K${formatProgress(label, done, total, (now - begin) / 1000, stderr.columns)}`);
    },
    clear: () => void stderr.write('\r\x1b[K'),
  };
}

/** `[#####...............]  25%  75.0 MiB of 300.0 MiB  120.5 MiB/s  0:02 left  NAME`, as far as `columns` go. */
function formatProgress(
  label: string,
  done: number,
  total: number,
  seconds: number,
  columns: number,
): string {
  const part = total === 0 ? 1 : Math.min(1, done / total);
  const rate = seconds > 0 ? done / seconds : 0;
  const filled = Math.round(part * BAR_WIDTH);
  const left = rate > 0 ? `  ${formatDuration((total - done) / rate)} left` : '';
  const text = `[${'#'.repeat(filled)}${'.'.repeat(BAR_WIDTH - filled)}] ${String(Math.floor(part * 100)).padStart(3)}%  ${formatSize(done)} of ${formatSize(total)}  ${formatSize(rate)}/s${left}  ${label}`;
  return text.slice(0, Math.max(0, columns - 1));
}
