import { pino, type DestinationStream } from 'pino';
import type { RequestLine, RequestLog } from '../http/access-log.ts';
import type { Finding } from '../operations/upkeep/finding.ts';

/** The log of a server: JSON lines on stderr, or words where stderr is a terminal. */
export interface ServerLog extends RequestLog {
  info(message: string): void;
  warn(message: string): void;
  /** Something that is wrong with the store. */
  finding(finding: Finding): void;
  /** Writes what is still held back; to be called before the process ends. */
  flush(): void;
}

/** Lines are held back for at most this long: writing each by itself costs more than answering a small request. */
const FLUSH_MS = 500;
/** Bytes written at once: with less, the thread that writes takes a good part of the machine from the one that answers. */
const LOG_BUFFER_SIZE = 64 * 1024;

export function createServerLog(): ServerLog {
  if (process.stderr.isTTY) {
    const log = pino({ base: null, timestamp: false }, wordsTo(process.stderr));
    return logTo(log, () => undefined);
  }
  const destination = pino.destination({
    dest: 2,
    sync: false,
    minLength: LOG_BUFFER_SIZE,
    maxWrite: 2 * LOG_BUFFER_SIZE,
    periodicFlush: FLUSH_MS,
  });
  const log = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
  return logTo(log, () => {
    destination.flushSync();
  });
}

function logTo(log: pino.Logger, flush: () => void): ServerLog {
  return {
    request: (line) => {
      log.info(line, 'request');
    },
    failure: (requestId, error) => {
      log.error({ requestId, err: error }, 'failure');
    },
    info: (message) => {
      log.info(message);
    },
    warn: (message) => {
      log.warn(message);
    },
    finding: (finding) => {
      log.warn(finding, 'finding');
    },
    flush,
  };
}

/** What there may be in a line. */
type LogLine = { msg: string; err?: { message: string } } & Partial<RequestLine> &
  Partial<Pick<Finding, 'kind' | 'problem'>>;

/** Each line in words, for the person at the terminal. */
function wordsTo(stream: NodeJS.WritableStream): DestinationStream {
  return {
    write: (json) => {
      const line = JSON.parse(json) as LogLine;
      const time = new Date().toTimeString().slice(0, 8);
      const text =
        line.msg === 'request'
          ? `${line.method ?? ''} ${line.path ?? ''}  ${line.status ?? ''}${line.aborted ? ' aborted' : ''}  ${line.bytes ?? ''} B  ${line.ms ?? ''} ms  ${line.remote ?? ''}${line.user === undefined ? '' : ` ${line.user}`}  ${line.requestId ?? ''}`
          : [line.msg, line.requestId, line.kind, line.path, line.problem, line.err?.message]
              .filter((part) => part !== undefined)
              .join('  ');
      stream.write(`${time}  ${text}\n`);
    },
  };
}
