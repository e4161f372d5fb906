import { pino, type DestinationStream } from 'pino';
import type { RequestLine, RequestLog } from '../http/access-log.ts';
import type { Finding } from '../operations/upkeep/finding.ts';
import { asOneLine } from '../cache/controls.ts';
import { createLogWriter, type LogWriter } from './log-writer.ts';

/** The log of a server, on stderr. */
export interface ServerLog extends RequestLog {
  info(message: string): void;
  warn(message: string): void;
  /** Logs a finding in the store. */
  finding(finding: Finding): void;
  /** Writes the waiting lines; to be called before the process ends. */
  flush(): void;
}

export interface LogOptions {
  /** A line of JSON, or of text for a person. */
  readonly format: 'json' | 'text';
  /** Whether each request has a line; a fault of the server has one in any case. */
  readonly hasRequests: boolean;
}

export function createServerLog({ format, hasRequests }: LogOptions): ServerLog {
  const writer = createLogWriter(2, (count) => {
    log.warn(`lines of the log could not be written and are lost: ${count}`);
  });
  const options = { base: null, timestamp: createTimestamp(), formatters: { level: levelOf } };
  const log = pino(options, format === 'json' ? writer : wordsTo(writer));
  return {
    request: (line) => {
      if (hasRequests) log.info(line, 'request');
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
    flush: () => {
      writer.flush();
    },
  };
}

/** The time as a member of a line: made once for all lines of a millisecond, because it costs more than the rest of a line. */
function createTimestamp(): () => string {
  let made = NaN;
  let member = '';
  return () => {
    const now = Date.now();
    if (now !== made) member = `,"time":"${new Date(now).toISOString()}"`;
    made = now;
    return member;
  };
}

/** A word, which people and programs read without a table of pino's numbers. */
function levelOf(level: string): { readonly level: string } {
  return { level };
}

/** Possible members of a line. */
type LogLine = { time: string; msg: string; err?: { message: string } } & Partial<RequestLine> &
  Partial<Pick<Finding, 'kind' | 'problem'>>;

/** Writes each line as `HH:MM:SSZ  METHOD PATH  STATUS  …`, or with its message. */
function wordsTo(writer: LogWriter): DestinationStream {
  return {
    write: (json) => {
      const line = JSON.parse(json) as LogLine;
      const time = `${line.time.slice(11, 19)}Z`;
      const text =
        line.msg === 'request'
          ? `${line.method ?? ''} ${line.path ?? ''}  ${line.status ?? ''}${line.aborted ? ' aborted' : ''}  ${line.bytes ?? ''} B  ${line.ms ?? ''} ms  ${line.remote ?? ''}${line.user === undefined ? '' : ` ${line.user}`}  ${line.requestId ?? ''}${line.reason === undefined ? '' : `  ${line.reason}`}`
          : [line.msg, line.requestId, line.kind, line.path, line.problem, line.err?.message]
              .filter((part) => part !== undefined)
              .join('  ');
      writer.write(`${time}  ${asOneLine(text)}\n`);
    },
  };
}
