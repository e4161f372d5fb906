import { pino } from 'pino';

/** Lines on their way to a file descriptor, many of them written at once. */
export interface HeldLines {
  /** @param line ends in a newline */
  write(line: string): void;
  /** Writes what is held back, and returns when it is written. */
  flush(): void;
}

/** Lines are held back for at most this long: writing each by itself costs more than answering a small request. */
const LIMIT_MS = 500;
/** Characters written at once: with less, the thread that writes takes a good part of the machine from the one that answers. */
const PIECE_SIZE = 64 * 1024;

/**
 * pino's own destination can hold lines back, too, but with every line that comes it measures all that it holds: that
 * was a third of what a small request cost.
 */
export function holdLines(descriptor: number): HeldLines {
  const file = pino.destination({ dest: descriptor, sync: false });
  let held: string[] = [];
  let size = 0;

  const handOver = (): void => {
    if (size === 0) return;
    file.write(held.join(''));
    held = [];
    size = 0;
  };
  const flush = (): void => {
    handOver();
    file.flushSync();
  };
  setInterval(handOver, LIMIT_MS).unref();
  // The last lines before a crash are those that are wanted.
  process.once('exit', flush);

  return {
    write(line) {
      held.push(line);
      size += line.length;
      if (size >= PIECE_SIZE) handOver();
    },
    flush,
  };
}
