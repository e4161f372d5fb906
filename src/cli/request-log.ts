import { pino, type DestinationStream } from 'pino';
import type { RequestLine, RequestLog } from '../http/access-log.ts';
import type { Finding } from '../operations/upkeep/finding.ts';
import { holdLines } from './held-lines.ts';
import { asOneLine } from './terminal/controls.ts';

/** The log of a server: JSON lines on stderr, or words where stderr is a terminal. */
export interface ServerLog extends RequestLog {
  info(message: string): void;
  warn(message: string): void;
  /** Something that is wrong with the store. */
  finding(finding: Finding): void;
  /** Writes what is still held back; to be called before the process ends. */
  flush(): void;
}

export function createServerLog(): ServerLog {
  if (process.stderr.isTTY) return logTo(pino({ base: null, timestamp: false }, wordsTo(process.stderr)));
  const timeNow = createTimeMember();
  const lines = holdLines(2, (count) => {
    const lost = { msg: `lines of the log could not be written and are lost: ${count}` };
    return `{"level":40${timeNow()},${JSON.stringify(lost).slice(1)}\n`;
  });
  return {
    ...logTo(pino({ base: null, timestamp: timeNow }, lines)),
    // The same line as pino's, in half of the time.
    request: (line) => {
      lines.write(`{"level":30${timeNow()},${JSON.stringify(line).slice(1, -1)},"msg":"request"}\n`);
    },
    flush: () => {
      lines.flush();
    },
  };
}

/** The member `time` as pino wants it; made once for all lines of a millisecond. */
function createTimeMember(): () => string {
  let madeAt = 0;
  let member = '';
  return () => {
    const now = Date.now();
    if (now !== madeAt) {
      madeAt = now;
      member = pino.stdTimeFunctions.isoTime();
    }
    return member;
  };
}

function logTo(log: pino.Logger): ServerLog {
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
    flush: () => undefined,
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
      const time = `${new Date().toISOString().slice(11, 19)}Z`;
      const text =
        line.msg === 'request'
          ? `${line.method ?? ''} ${line.path ?? ''}  ${line.status ?? ''}${line.aborted ? ' aborted' : ''}  ${line.bytes ?? ''} B  ${line.ms ?? ''} ms  ${line.remote ?? ''}${line.user === undefined ? '' : ` ${line.user}`}  ${line.requestId ?? ''}`
          : [line.msg, line.requestId, line.kind, line.path, line.problem, line.err?.message]
              .filter((part) => part !== undefined)
              .join('  ');
      stream.write(`${time}  ${asOneLine(text)}\n`);
    },
  };
}
