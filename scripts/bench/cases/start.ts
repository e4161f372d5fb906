import { join } from 'node:path';
import type { BenchCase, Contender } from '../bench-case.ts';
import { execute } from '../process/execute.ts';
import { medianOf } from '../result.ts';
import { PROGRAM, writeConfig } from '../server.ts';
import type { Workbench } from '../workbench.ts';

/** Runs of one sample: a single one says little. */
const REPEATS = 5;

/** The rival is node that does nothing: nobody can start faster. */
export const commandStart: BenchCase = {
  name: 'command-start',
  summary: 'whole process of cache --help, and of cache lookup on a warm store',
  needs: [],
  async prepare(bench) {
    const { folder, store } = bench;
    const [release] = await bench.releases();
    const config = await writeConfig(join(folder, 'lookup.ini'), store, await bench.keys());
    return {
      contenders: [
        contenderOf(bench, 'ours', {
          help: [PROGRAM, '--help'],
          lookup: [PROGRAM, 'lookup', '-c', config, release?.url ?? ''],
        }),
        contenderOf(bench, 'node -e 0', { help: ['-e', '0'], lookup: ['-e', '0'] }),
      ],
      rows: [
        {
          ...{ label: 'cache --help', figure: 'help', unit: 'ms' },
          target: { of: 'value', is: 'at most', value: 120 },
        },
        {
          ...{ label: 'cache lookup', figure: 'lookup', unit: 'ms' },
          target: { of: 'value', is: 'at most', value: 200 },
        },
      ],
      warmUp: true,
    };
  },
};

function contenderOf(
  bench: Workbench,
  name: string,
  commands: { readonly help: readonly string[]; readonly lookup: readonly string[] },
): Contender {
  const timeOf = async (args: readonly string[]): Promise<number> => {
    const times: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat++) {
      times.push((await execute(process.execPath, args, bench)).seconds * 1000);
    }
    return medianOf(times);
  };
  return {
    name,
    run: async () => ({
      figures: { help: await timeOf(commands.help), lookup: await timeOf(commands.lookup) },
    }),
  };
}
