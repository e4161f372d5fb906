import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { BenchCase, Contender } from '../bench-case.ts';
import type { Archive } from '../data/medium.ts';
import { execute } from '../process/execute.ts';
import { medianOf } from '../result.ts';
import { PROGRAM, renewStore, writeConfig } from '../server.ts';
import type { Workbench } from '../workbench.ts';

/** Runs of one sample where a run is so short that a single one says little. */
const REPEATS = 5;

export const imports: BenchCase = {
  name: 'import',
  summary: 'import of four archives (300 MB), against gzip -t and sha512sum, one file after the other',
  needs: ['tar', 'gzip', 'sha512sum'],
  async prepare(bench) {
    const archives = await bench.archives();
    const importing = await createImporting(bench, archives);
    const byHand: Contender = {
      name: 'gzip -t && sha512sum',
      async run() {
        let seconds = 0;
        for (const { path } of archives) {
          seconds += (await execute('gzip', ['-t', path], bench)).seconds;
          seconds += (await execute('sha512sum', [path], bench)).seconds;
        }
        return { figures: { time: seconds } };
      },
    };
    return {
      contenders: [importing.fresh(), byHand],
      rows: [
        { label: 'time', figure: 'time', unit: 's', target: { of: 'ratio', is: 'at most', value: 0.5 } },
      ],
      warmUp: false,
      end: importing.end,
    };
  },
};

/** The target is told for the work: what starting the process takes is measured beside it, and taken off. */
export const importsAgain: BenchCase = {
  name: 'import-again',
  summary: 'import again with nothing changed on the medium',
  needs: ['tar'],
  async prepare(bench) {
    const archives = await bench.archives();
    const importing = await createImporting(bench, archives);
    await importing.empty();
    await importing.run('imported');
    const ours: Contender = {
      name: 'ours',
      async run() {
        const starts: number[] = [];
        const whole: number[] = [];
        const beyond: number[] = [];
        for (let repeat = 0; repeat < REPEATS; repeat++) {
          const { seconds: start } = await execute(process.execPath, [PROGRAM, '--version'], bench);
          starts.push(start * 1000);
          const seconds = await importing.run('unchanged');
          whole.push(seconds * 1000);
          beyond.push((seconds - start) * 1000);
        }
        return { figures: { start: medianOf(starts), whole: medianOf(whole), beyond: medianOf(beyond) } };
      },
    };
    const limit = 50 + 5 * archives.length;
    return {
      contenders: [ours],
      rows: [
        { label: 'cache --version', figure: 'start', unit: 'ms' },
        { label: 'whole process', figure: 'whole', unit: 'ms' },
        {
          ...{ label: 'beyond cache --version', figure: 'beyond', unit: 'ms' },
          target: { of: 'value', is: 'at most', value: limit },
        },
      ],
      warmUp: false,
      end: importing.end,
    };
  },
};

interface Importing {
  /** Imports into the store as it is. @returns seconds of the whole process; throws unless every archive ends so */
  readonly run: (expected: 'imported' | 'unchanged') => Promise<number>;
  /** Makes the store anew. */
  readonly empty: () => Promise<void>;
  /** Ours, into a new store each time; `time` in seconds. */
  readonly fresh: () => Contender;
  /** Removes the store. */
  readonly end: () => Promise<void>;
}

const outcomes = z.array(z.object({ status: z.string(), file: z.string(), reason: z.string().optional() }));

async function createImporting(bench: Workbench, archives: readonly Archive[]): Promise<Importing> {
  const { folder, signal } = bench;
  const store = join(folder, 'import-store');
  const config = await writeConfig(join(folder, 'import.ini'), store, await bench.keys());
  const medium = dirname(archives[0]?.path ?? '');
  const empty = () => renewStore(config, store, signal);
  const end = () => rm(store, { recursive: true, force: true });

  const run: Importing['run'] = async (expected) => {
    const args = [PROGRAM, 'import', '-q', '--json', '-c', config, medium];
    const { stdout, seconds } = await execute(process.execPath, args, { signal, limitSeconds: 300 });
    const results = outcomes.parse(JSON.parse(stdout));
    const odd = results.find(({ status }) => status !== expected);
    if (odd !== undefined || results.length !== archives.length)
      throw new Error(
        `import: ${odd === undefined ? `${results.length} archives` : `${odd.file} is ${odd.status}, not ${expected}: ${odd.reason ?? ''}`}`,
      );
    return seconds;
  };

  return {
    run,
    empty,
    fresh: () => ({
      name: 'ours',
      async run() {
        await empty();
        return { figures: { time: await run('imported') } };
      },
    }),
    end,
  };
}
