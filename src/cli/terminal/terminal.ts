import type { Messages } from '../../operations/site.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { errorLine } from '../json-error.ts';
import { withoutControls } from '../../cache/controls.ts';
import { wrapFor } from './wrap.ts';

/** Output of a command: results on stdout, everything else on stderr. */
export interface Terminal extends Messages {
  /** Lines of the result, exactly: a table, JSON, a file. */
  print(text: string): void;
  /** A sentence of the result. */
  say(text: string): void;
  /** An informational line; silent with `-q`. */
  tell(text: string): void;
  /** A warning, also with `-q`. */
  warn(text: string): void;
}

/** @param json prints failures as JSON */
export function createTerminal({
  quiet,
  json = false,
}: {
  readonly quiet: boolean;
  readonly json?: boolean;
}): Terminal {
  const writeTo = (stream: NodeJS.WriteStream, text: string): void =>
    void stream.write(`${withoutControls(text)}\n`);
  const say = (stream: NodeJS.WriteStream, text: string): void => {
    writeTo(stream, wrapFor(stream, withoutControls(text)));
  };
  const warn = (text: string): void => {
    say(process.stderr, text);
  };
  return {
    print: (text) => {
      writeTo(process.stdout, text);
    },
    say: (text) => {
      say(process.stdout, text);
    },
    tell: (text) => {
      if (!quiet) say(process.stderr, text);
    },
    warn,
    fail: (text, how) => {
      if (json) writeTo(process.stderr, errorLine(how, text));
      else warn(text);
      endWith(EXIT[how]);
    },
  };
}
