import { pino, type DestinationStream } from 'pino';
import type { RequestLine, RequestLog } from '../http/access-log.ts';
import type { Finding } from '../operations/upkeep/finding.ts';
import { asOneLine } from '../cache/controls.ts';
import { createLogWriter } from './log-writer.ts';

/** The log of a server: JSON lines on stderr, or plain text if stderr is a terminal. */
export interface ServerLog extends RequestLog {
  info(message: string): void;
  warn(message: string): void;
  /** Logs a finding in the store. */
  finding(finding: Finding): void;
  /** Writes the waiting lines; to be called before the process ends. */
  flush(): void;
}

export function createServerLog(): ServerLog {
  if (process.stderr.isTTY)
    return logWith(pino({ base: null, timestamp: false }, wordsTo(process.stderr)), () => undefined);
  const writer = createLogWriter(2, (count) => {
    log.warn(`lines of the log could not be written and are lost: ${count}`);
  });
  const log = logWith(pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime }, writer), () => {
    writer.flush();
  });
  return log;
}

function logWith(log: pino.Logger, flush: () => void): ServerLog {
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

/** Possible members of a line. */
type LogLine = { msg: string; err?: { message: string } } & Partial<RequestLine> &
  Partial<Pick<Finding, 'kind' | 'problem'>>;

/** Writes each line as plain text for the person at the terminal. */
function wordsTo(stream: NodeJS.WritableStream): DestinationStream {
  return {
    write: (json) => {
      const line = JSON.parse(json) as LogLine;
      const time = `${new Date().toISOString().slice(11, 19)}Z`;
      const text =
        line.msg === 'request'
          ? `${line.method ?? ''} ${line.path ?? ''}  ${line.status ?? ''}${line.aborted ? ' aborted' : ''}  ${line.bytes ?? ''} B  ${line.ms ?? ''} ms  ${line.remote ?? ''}${line.user === undefined ? '' : ` ${line.user}`}  ${line.requestId ?? ''}${line.reason === undefined ? '' : `  ${line.reason}`}`
          : [line.msg, line.requestId, line.kind, line.path, line.problem, line.err?.message]
              .filter((part) => part !== undefined)
              .join('  ');
      stream.write(`${time}  ${asOneLine(text)}\n`);
    },
  };
}
