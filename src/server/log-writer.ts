import { write, writeSync } from 'node:fs';
import { withoutControls } from '../cache/controls.ts';
import { systemCode } from '../cache/errors.ts';

/** Lines on their way to a file descriptor, many of them written at once. */
export interface LogWriter {
  /** @param line ends in a newline */
  write(line: string): void;
  /** Writes the lines that wait, and returns when they are written. */
  flush(): void;
}

/** Milliseconds that a line waits at most: writing each alone costs more than answering a small request. */
const LIMIT_MS = 500;
/** Characters written at once: with less, the thread that writes takes a good part of the machine from the one that answers. */
const PIECE_SIZE = 64 * 1024;
/** Characters that wait while the reader of a pipe doesn't read. */
const WAITING_LIMIT = 16 * 1024 * 1024;
/** Until a full pipe is tried again. */
const PAUSE_MS = 20;
/** How often a full pipe is tried, without any progress, when the process ends. */
const LAST_TRIES = 25;

/**
 * Lines that can't be written are lost and counted: a full disk for the log must not stop the server. pino's own destination
 * tries for ever then, and with each line it measures all lines that wait: a third of the cost of a small request.
 * @param onLost writes a line that reports how many lines were lost
 */
export function createLogWriter(descriptor: number, onLost: (count: number) => void): LogWriter {
  let waiting: string[] = [];
  let size = 0;
  let lost = 0;
  /** Lost lines that a waiting line reports. */
  let reported = 0;
  /** The lines that are being written, and their bytes that are not written yet. */
  let current: { readonly lines: number; rest: Buffer; isInFlight: boolean } | undefined;

  const add = (text: string): void => {
    // JSON escapes neither DEL nor what follows it, and `tail -f` ends on a terminal.
    const line = withoutControls(text);
    if (size + line.length > WAITING_LIMIT) {
      lost++;
      return;
    }
    waiting.push(line);
    size += line.length;
  };
  const take = (): { readonly lines: number; readonly bytes: Buffer } => {
    // When the line that reports lost ones is lost, they still count.
    const lines = waiting.length + Math.max(reported - 1, 0);
    const taken = { lines, bytes: Buffer.from(waiting.join('')) };
    waiting = [];
    size = reported = 0;
    return taken;
  };
  const report = (): void => {
    if (lost === 0) return;
    reported = lost;
    lost = 0;
    onLost(reported);
  };
  const handOver = (): void => {
    if (current !== undefined || size === 0) return;
    const { lines, bytes } = take();
    current = { lines, rest: bytes, isInFlight: false };
    writeOn(current);
    // There is room for one more line now.
    report();
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
    // A thread that is writing goes on.
    if (current?.isInFlight === false) {
      writeToEnd(descriptor, current.rest);
      current = undefined;
    }
    if (size > 0) writeToEnd(descriptor, take().bytes);
    report();
    if (size > 0) writeToEnd(descriptor, take().bytes);
  };
  setInterval(handOver, LIMIT_MS).unref();
  // The last lines before a crash are the most wanted.
  process.once('exit', flush);

  return {
    write(text) {
      add(text);
      if (size >= PIECE_SIZE) handOver();
    },
    flush,
  };
}

/** Nobody is left to tell of bytes that can't be written. */
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
