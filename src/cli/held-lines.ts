import { write, writeSync } from 'node:fs';
import { systemCode } from '../cache/errors.ts';
import { withoutControls } from './terminal/controls.ts';

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
/** Characters that are held while nothing can be written, because whoever reads a pipe has stopped to. */
const HELD_LIMIT = 16 * 1024 * 1024;
/** Until a pipe is tried again whose reader hasn't made room yet. */
const PAUSE_MS = 20;
/** How often it is tried, without any progress, when the process ends. */
const LAST_TRIES = 25;

/**
 * What can't be written is lost, and told when something can be written again: a full disk for the log must not keep
 * anybody from being answered. pino's own destination tries for ever then; and with every line that comes it measures
 * all that it holds, which was a third of what a small request cost.
 * @param lostLine makes the line that tells how many were lost
 */
export function holdLines(descriptor: number, lostLine: (count: number) => string): HeldLines {
  let held: string[] = [];
  let size = 0;
  let lost = 0;
  /** What is being written: how many lines, and which bytes of them are left. */
  let current: { readonly lines: number; rest: Buffer; isInFlight: boolean } | undefined;

  const take = (): Buffer => {
    const bytes = Buffer.from((lost > 0 ? lostLine(lost) : '') + held.join(''));
    lost = 0;
    held = [];
    size = 0;
    return bytes;
  };
  const handOver = (): void => {
    if (current !== undefined || size === 0) return;
    const lines = held.length;
    current = { lines, rest: take(), isInFlight: false };
    writeOn(current);
  };
  const writeOn = (batch: NonNullable<typeof current>): void => {
    if (current !== batch) return;
    batch.isInFlight = true;
    write(descriptor, batch.rest, (error, count) => {
      batch.isInFlight = false;
      if (error === null) batch.rest = batch.rest.subarray(count);
      if (error?.code === 'EAGAIN') {
        setTimeout(writeOn, PAUSE_MS, batch).unref();
      } else if (error === null && batch.rest.length > 0) {
        writeOn(batch);
      } else {
        if (error !== null) lost += batch.lines;
        current = undefined;
        if (size >= PIECE_SIZE) handOver();
      }
    });
  };
  const flush = (): void => {
    // What a thread is writing just now, it writes.
    if (current?.isInFlight === false) {
      writeToEnd(descriptor, current.rest);
      current = undefined;
    }
    if (size > 0) writeToEnd(descriptor, take());
  };
  setInterval(handOver, LIMIT_MS).unref();
  // The last lines before a crash are those that are wanted.
  process.once('exit', flush);

  return {
    write(text) {
      // JSON escapes neither DEL nor what follows it, and `tail -f` ends on a terminal.
      const line = withoutControls(text);
      if (size + line.length > HELD_LIMIT) {
        lost++;
        return;
      }
      held.push(line);
      size += line.length;
      if (size >= PIECE_SIZE) handOver();
    },
    flush,
  };
}

/** Nobody is left who could be told of what can't be written. */
function writeToEnd(descriptor: number, bytes: Buffer): void {
  for (let tries = 0, position = 0; position < bytes.length && tries < LAST_TRIES; tries++) {
    try {
      position += writeSync(descriptor, bytes, position);
      tries = 0;
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    }
  }
}
