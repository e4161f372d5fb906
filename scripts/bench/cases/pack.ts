import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BenchCase, Contender, Sample } from '../bench-case.ts';
import { execute } from '../process/execute.ts';
import { PROGRAM, renewStore, writeConfig } from '../server.ts';

/** Ours imports it besides: the archive is written twice, hashed, and synced to the disk. */
export const pack: BenchCase = {
  name: 'pack',
  summary: 'packing and importing a release (70 MB when packed), against tar -czf alone',
  needs: ['tar', 'gzip'],
  async prepare(bench) {
    const root = join(bench.folder, 'software-root');
    const output = join(bench.folder, 'packed');
    const store = join(bench.folder, 'pack-store');
    const [archive] = await bench.archives();
    await mkdir(root);
    await execute('tar', ['-C', root, '-xzf', archive?.path ?? ''], bench);
    const [key = ''] = await readdir(root);
    const unpacked = Number((await execute('du', ['-sb', join(root, key)], bench)).stdout.split('\t')[0]);
    const config = await writeConfig(join(bench.folder, 'pack.ini'), store, await bench.keys());

    const contender = (name: string, program: string, args: readonly string[]): Contender => ({
      name,
      async run() {
        await rm(output, { recursive: true, force: true });
        await mkdir(output);
        await renewStore(config, store, bench.signal);
        const { seconds } = await execute(program, args, bench);
        return sampleOf(unpacked, seconds, await sizeOf(output));
      },
    });
    const ours = [PROGRAM, 'pack', '-q', '-c', config, '--output', output, join(root, key)];
    return {
      contenders: [
        contender('ours', process.execPath, ours),
        contender('tar -czf', 'tar', ['-C', root, '-czf', join(output, 'archive.tar.gz'), key]),
      ],
      rows: [
        {
          ...{ label: 'speed, unpacked bytes', figure: 'speed', unit: 'MB/s' },
          target: { of: 'ratio', is: 'at least', value: 1.6 },
        },
        {
          ...{ label: 'size of the archive', figure: 'size', unit: 'MiB' },
          target: { of: 'ratio', is: 'at most', value: 1.02 },
        },
      ],
      warmUp: true,
      end: async () => {
        for (const folder of [root, output, store]) await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

function sampleOf(unpacked: number, seconds: number, size: number): Sample {
  return { figures: { speed: unpacked / 1e6 / seconds, size: size / 2 ** 20 } };
}

async function sizeOf(folder: string): Promise<number> {
  const [name = ''] = await readdir(folder);
  return (await stat(join(folder, name))).size;
}
