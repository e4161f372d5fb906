import { LeftOut, type BenchCase, type Match, type Sample } from './bench-case.ts';
import { missingAmong } from './process/programs.ts';
import { rowResultOf, type CaseResult, type Runs } from './result.ts';
import type { Workbench } from './workbench.ts';

export interface RoundOptions {
  readonly rounds: number;
  /** How long a load that can have any length runs. */
  readonly seconds: number;
}

/** Runs a case; what goes wrong in it is its result. @throws only when the bench was told to stop */
export async function runCase(
  benchCase: BenchCase,
  bench: Workbench,
  options: RoundOptions,
): Promise<CaseResult> {
  const { name, summary, needs } = benchCase;
  const nothing = { name, summary, rows: [], runs: [] };
  const missing = missingAmong(needs);
  if (missing !== undefined) return { ...nothing, leftOut: missing };
  try {
    const match = await benchCase.prepare(bench);
    try {
      const runs = await inTurn(name, match, bench, options);
      return { name, summary, rows: match.rows.map((row) => rowResultOf(row, runs)), runs };
    } finally {
      await match.end?.();
    }
  } catch (error) {
    bench.signal.throwIfAborted();
    const message = error instanceof Error ? error.message : String(error);
    return error instanceof LeftOut ? { ...nothing, leftOut: message } : { ...nothing, failed: message };
  }
}

/** A B A B …: what the machine does besides comes over all of them alike. */
async function inTurn(
  name: string,
  { contenders, warmUp }: Match,
  bench: Workbench,
  { rounds, seconds }: RoundOptions,
): Promise<readonly Runs[]> {
  const runs = contenders.map((contender) => ({ contender, samples: [] as Sample[] }));
  if (warmUp) {
    bench.tell(`${name}: warming up`);
    for (const { contender } of runs) await contender.run(Math.min(2, seconds));
  }
  for (let round = 1; round <= rounds; round++) {
    for (const { contender, samples } of runs) {
      bench.signal.throwIfAborted();
      const sample = await contender.run(seconds);
      samples.push(sample);
      bench.tell(`${name}: round ${round} of ${rounds}, ${contender.name}: ${inWords(sample)}`);
    }
  }
  return runs.map(({ contender, samples }) => ({ name: contender.name, samples }));
}

function inWords({ figures, usage }: Sample): string {
  const words = Object.entries(figures).map(([name, value]) => `${name} ${value.toPrecision(4)}`);
  if (usage !== undefined)
    words.push(`cores ${usage.serverCores.toFixed(2)}, client's ${usage.clientCores.toFixed(2)}`);
  return words.join(', ');
}
