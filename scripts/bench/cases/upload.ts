import { createHash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchCase, Contender } from '../bench-case.ts';
import { pseudoRandom } from '../data/pseudo-random.ts';
import { measureUsage } from '../http-server.ts';
import { upload } from '../load/curl.ts';
import { execute } from '../process/execute.ts';

/** The rival is what a person does with the same bytes: hash them, copy them. */
export const uploads: BenchCase = {
  name: 'upload',
  summary: 'POST /bcache of 1 GiB, one client (curl), against openssl dgst -sha512 and cp of the same bytes',
  needs: ['curl', 'openssl', 'cp', 'dd'],
  async prepare(bench) {
    const { folder, signal, store } = bench;
    const size = bench.sizes.large;
    const source = join(folder, 'upload');
    const copy = join(folder, 'upload.copy');
    bench.tell(`making a file of ${Math.round(size / 2 ** 20)} MiB`);
    const expected = await writePseudoRandom(source, size);
    const server = await bench.ours();

    const ours: Contender = {
      name: 'ours',
      async run() {
        const url = `http://127.0.0.1:${server.port}/bcache`;
        const load = () => upload(url, source, { size, expected, signal });
        const { result, usage } = await measureUsage(server, load, 'GiB');
        await rm(join(store, 'bcache', expected));
        return { figures: { speed: size / 1e6 / result.seconds }, usage };
      },
    };
    const byHand = (name: string, program: string, args: readonly string[]): Contender => ({
      name,
      async run() {
        const hashing = await execute('openssl', ['dgst', '-sha512', source], { signal });
        const copying = await execute(program, args, { signal });
        await rm(copy);
        return { figures: { speed: size / 1e6 / (hashing.seconds + copying.seconds) } };
      },
    });
    return {
      contenders: [
        ours,
        byHand('openssl + cp', 'cp', [source, copy]),
        // What ours promises more than cp: the bytes are on the disk when it answers.
        byHand('openssl + cp + fsync', 'dd', [
          `if=${source}`,
          `of=${copy}`,
          'bs=1M',
          'conv=fsync',
          'status=none',
        ]),
      ],
      rows: [
        {
          label: 'speed',
          figure: 'speed',
          unit: 'MB/s',
          target: { of: 'ratio', is: 'at least', value: 0.8 },
        },
      ],
      warmUp: false,
      end: () => rm(source),
    };
  },
};

/** On the disk when it returns, so that no run has to wait for it. @returns the sha512 */
async function writePseudoRandom(path: string, size: number): Promise<string> {
  const hash = createHash('sha512');
  const file = await open(path, 'w');
  try {
    for (const piece of pseudoRandom('upload', size)) {
      hash.update(piece);
      await file.writeFile(piece);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return hash.digest('hex');
}
