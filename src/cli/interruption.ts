import { removeOpenTemporaries } from '../storage/open-temporaries.ts';
import { wrapFor } from './terminal/wrap.ts';

const GOES_ON = 'finished work is kept; run the same command again to continue';

/** What an interruption means, for each long command. */
const MEANINGS: Readonly<Record<string, string>> = {
  import: GOES_ON,
  pack: GOES_ON,
  fetch: GOES_ON,
  sync: GOES_ON,
  export: GOES_ON,
  verify: 'the check is incomplete, and healed or repaired objects stay so; run the same command again',
};

/**
 * On SIGINT and SIGTERM, says what the interruption means and removes half-written files. The signal then ends the
 * process, so that a shell also ends a loop, and reports 130 or 143.
 */
export function tellWhenInterrupted(command: string): void {
  const meaning = MEANINGS[command];
  // Linux sends the first process of a container no signal that it doesn't handle. A server handles its own.
  if (command === 'serve' || (meaning === undefined && process.pid !== 1)) return;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      interrupt(meaning, signal);
    });
  }
}

/** Ends the process in the middle of an import. */
export function interruptImport(signal: 'SIGINT' | 'SIGTERM'): never {
  return interrupt(GOES_ON, signal);
}

function interrupt(meaning: string | undefined, signal: 'SIGINT' | 'SIGTERM'): never {
  // Overwrites a progress line and ^C.
  const { stderr } = process;
  const text = `cache: interrupted${meaning === undefined ? '' : `; ${meaning}`}`;
  stderr.write(`${stderr.isTTY ? '\r\x1b[K' : ''}${wrapFor(stderr, text)}\n`);
  removeOpenTemporaries();
  process.kill(process.pid, signal);
  // The first process of a container can't kill itself.
  process.exit(signal === 'SIGINT' ? 130 : 143);
}
