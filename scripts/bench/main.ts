/**
 * Measures the built program against nginx and against what a person would do by hand, on the machine it runs on
 * (docs/performance.md). Data is made in a temporary folder, which is removed at the end.
 */
import { Command, InvalidArgumentError } from 'commander';
import { existsSync } from 'node:fs';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CASES } from './cases.ts';
import type { BenchCase } from './bench-case.ts';
import { describeMachine } from './machine.ts';
import type { CaseResult } from './result.ts';
import { runCase } from './rounds.ts';
import { PROGRAM } from './server.ts';
import { FULL, SMOKE } from './sizes.ts';
import { formatResults } from './table.ts';
import { createWorkbench } from './workbench.ts';

interface Options {
  readonly case?: readonly BenchCase[];
  readonly rounds: number;
  readonly seconds: number;
  readonly folder: string;
  readonly smoke?: boolean;
  readonly json?: boolean;
  readonly list?: boolean;
}

const options = new Command('bench')
  .description('Measures the built program against nginx on this machine.')
  .option('--case <name>', 'run this case only; may be repeated', collectCase)
  .option('--rounds <n>', 'how often each contender runs, in turn with the others', parsePositive, 5)
  .option('--seconds <n>', 'how long each timed load runs', parsePositive, 5)
  .option('--folder <dir>', 'where to make the temporary folder; 12 GB are needed there', tmpdir())
  .option('--smoke', 'less of everything: tells whether the bench works, not how fast anything is')
  .option('--json', 'print everything that was measured as JSON')
  .option('--list', 'show the cases')
  .parse()
  .opts<Options>();

if (options.list) {
  const width = Math.max(...CASES.map(({ name }) => name.length));
  for (const { name, summary } of CASES) process.stdout.write(`${name.padEnd(width)}  ${summary}\n`);
} else {
  await main(options).catch((error: unknown) => {
    tell(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  });
}

async function main({
  case: chosen,
  rounds,
  seconds,
  folder: parent,
  smoke = false,
  json,
}: Options): Promise<void> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing; make it with: npm run build`);
  const stop = new AbortController();
  const folder = await realpath(await mkdtemp(join(parent, 'shacache-bench-')));
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      tell(stop.signal.aborted ? `stopping; ${folder} is being removed` : 'stopping');
      stop.abort(new Error(`stopped by ${name}`));
    });
  }
  const machine = describeMachine();
  const bench = createWorkbench(folder, smoke ? SMOKE : FULL, stop.signal, tell);
  try {
    const results: CaseResult[] = [];
    for (const benchCase of CASES) {
      if (chosen?.includes(benchCase) ?? true)
        results.push(await runCase(benchCase, bench, { rounds, seconds }));
    }
    process.stdout.write(
      json
        ? `${JSON.stringify({ machine, results }, undefined, 2)}\n`
        : `\n${formatResults(machine, results, { isSmoke: smoke })}\n`,
    );
    if (results.some(({ failed }) => failed !== undefined)) process.exitCode = 1;
  } finally {
    await bench.end();
    await rm(folder, { recursive: true, force: true });
  }
}

function tell(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function collectCase(name: string, previous: readonly BenchCase[] = []): readonly BenchCase[] {
  const found = CASES.find((benchCase) => benchCase.name === name);
  if (found === undefined)
    throw new InvalidArgumentError(`there is ${CASES.map((known) => known.name).join(', ')}.`);
  return [...previous, found];
}

function parsePositive(text: string): number {
  const number = Number(text);
  if (!(number > 0)) throw new InvalidArgumentError('a number above 0 is expected.');
  return number;
}
