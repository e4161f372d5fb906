import { removeOpenTemporaries } from '../storage/open-temporaries.ts';

const GOES_ON = 'what was done stays: run the same command again to go on';

/** What it means to interrupt a command, for those that take long. */
const MEANINGS: Readonly<Record<string, string>> = {
  import: GOES_ON,
  pack: GOES_ON,
  fetch: GOES_ON,
  sync: GOES_ON,
  export: GOES_ON,
  verify: 'the check is incomplete, and healed or repaired objects stay so; run the same command again',
};

/**
 * From now on says on SIGINT and SIGTERM what interrupting this command means, and removes what is half-written. Then the
 * signal ends the process, as it does others: so a shell ends a loop, too, and reports 130 or 143.
 */
export function tellWhenInterrupted(command: string): void {
  const meaning = MEANINGS[command];
  if (meaning === undefined) return;
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

function interrupt(meaning: string, signal: 'SIGINT' | 'SIGTERM'): never {
  // A progress line may stand there, and ^C.
  const { stderr, pid } = process;
  stderr.write(`${stderr.isTTY ? '\r\x1b[K' : ''}cache: interrupted; ${meaning}\n`);
  removeOpenTemporaries();
  process.kill(pid, signal);
  // The first process of a container can't kill itself.
  process.exit(signal === 'SIGINT' ? 130 : 143);
}
