import { write, writeSync } from 'node:fs';
import { withoutControls } from '../cache/controls.ts';
import { systemCode } from '../cache/errors.ts';

/** Writes lines to a file descriptor, many at once. */
export interface LogWriter {
  /** @param line ends in a newline */
  write(line: string): void;
  /** Writes the waiting lines before it returns. */
  flush(): void;
}

/** Milliseconds that a line waits at most: a write for each line costs more than a small request. */
const LIMIT_MS = 500;
/** Characters per write: smaller writes take much CPU time from the thread that answers requests. */
const PIECE_SIZE = 64 * 1024;
/** Characters that wait at most while no process reads the pipe. */
const WAITING_LIMIT = 16 * 1024 * 1024;
/** Milliseconds until a full pipe is tried again. */
const PAUSE_MS = 20;
/** Attempts at a full pipe, without progress, when the process ends. */
const LAST_TRIES = 25;

/**
 * Drops and counts lines that can't be written: a full disk must not stop the server. pino's own destination would
 * retry for ever and measure all waiting lines with each new line, a third of the cost of a small request.
 * @param onLost writes a line that reports how many lines were lost
 */
export function createLogWriter(descriptor: number, onLost: (count: number) => void): LogWriter {
  let waiting: string[] = [];
  let size = 0;
  let lost = 0;
  /** Lost lines that a waiting line reports. */
  let reported = 0;
  /** The lines being written, and their unwritten bytes. */
  let current: { readonly lines: number; rest: Buffer; isInFlight: boolean } | undefined;

  const add = (text: string): void => {
    // JSON escapes neither DEL nor C1 controls, and `tail -f` shows them to a terminal.
    const line = withoutControls(text);
    if (size + line.length > WAITING_LIMIT) {
      lost++;
      return;
    }
    waiting.push(line);
    size += line.length;
  };
  const take = (): { readonly lines: number; readonly bytes: Buffer } => {
    // Lost lines still count if the line that reports them is lost.
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
    // The report has room now.
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
    // A write in flight goes on by itself.
    if (current?.isInFlight === false) {
      writeToEnd(descriptor, current.rest);
      current = undefined;
    }
    if (size > 0) writeToEnd(descriptor, take().bytes);
    report();
    if (size > 0) writeToEnd(descriptor, take().bytes);
  };
  setInterval(handOver, LIMIT_MS).unref();
  // The last lines before a crash matter most.
  process.once('exit', flush);

  return {
    write(text) {
      add(text);
      if (size >= PIECE_SIZE) handOver();
    },
    flush,
  };
}

/** Drops bytes that can't be written: the log is the only place to report that. */
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
