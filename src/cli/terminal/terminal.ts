import type { Messages } from '../../operations/site.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { errorLine } from '../json-error.ts';
import { withoutControls } from '../../cache/controls.ts';

/** Output of a command: results on stdout, everything else on stderr. */
export interface Terminal extends Messages {
  /** A line of the result. */
  print(text: string): void;
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
  const warn = (text: string): void => {
    writeTo(process.stderr, text);
  };
  return {
    print: (text) => {
      writeTo(process.stdout, text);
    },
    tell: (text) => {
      if (!quiet) writeTo(process.stderr, text);
    },
    warn,
    fail: (text, how) => {
      warn(json ? errorLine(how, text) : text);
      endWith(EXIT[how]);
    },
  };
}
