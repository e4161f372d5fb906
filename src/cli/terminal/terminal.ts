/** What a command says, and where: results on stdout, everything else on stderr. */
export interface Terminal {
  /** A line of the result. */
  print(text: string): void;
  /** A line for the person who waits; silent with `-q`. */
  tell(text: string): void;
  /** A line that must be seen, with `-q` too. */
  warn(text: string): void;
}

export function createTerminal({ quiet }: { readonly quiet: boolean }): Terminal {
  return {
    print: (text) => void process.stdout.write(`${text}\n`),
    tell: (text) => {
      if (!quiet) process.stderr.write(`${text}\n`);
    },
    warn: (text) => void process.stderr.write(`${text}\n`),
  };
}
