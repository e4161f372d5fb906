import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LeftOut, type BenchCase, type Contender } from '../bench-case.ts';
import { makeLargeStore } from '../data/large-store.ts';
import { ask, writeRequests } from '../load/requests.ts';
import { runWrk } from '../load/wrk.ts';
import { memoryOf } from '../process/usage.ts';
import { startServer } from '../server.ts';
import { lookupPaths } from './small-requests.ts';
import type { Workbench } from '../workbench.ts';

/** After the start, until lookups begin. */
const SETTLE_MS = 1500;
/** Bytes and inodes on the disk that an entry takes (a folder and a link to a file); ext4. */
const BYTES_AN_ENTRY = 4096;

/** The same keys are looked up in both stores, from one connection, one after the other. */
export const manyEntries: BenchCase = {
  name: 'many-entries',
  summary: 'lookups with 1 000 000 entries in the store against 1 000',
  needs: ['wrk'],
  async prepare(bench) {
    const { folder, sizes, signal, store } = bench;
    const large = join(folder, 'large-store');
    await checkEntryRoom(folder, sizes.manyEntries);
    const keys = (await bench.releases()).map(({ key }) => key);
    bench.tell(`making a store of ${sizes.manyEntries} entries`);
    const { remove } = await makeLargeStore(large, { from: store, keys, count: sizes.manyEntries, signal });
    const requestsFile = await writeRequests(join(folder, 'many-entries.requests'), await lookupPaths(bench));
    return {
      contenders: [
        contenderOf(bench, `${sizes.manyEntries} entries`, large, requestsFile),
        contenderOf(bench, `${keys.length} entries`, store, requestsFile),
      ],
      rows: [
        {
          label: 'lookups p99',
          figure: 'p99',
          unit: 'ms',
          target: { of: 'ratio', is: 'at most', value: 1.2 },
        },
        {
          label: 'start-up',
          figure: 'start',
          unit: 'ms',
          target: { of: 'ratio', is: 'at most', value: 1.2 },
        },
        { label: 'RSS', figure: 'rss', unit: 'MiB', target: { of: 'value', is: 'at most', value: 500 } },
      ],
      warmUp: true,
      end: async () => {
        bench.tell('removing the large store');
        await remove();
      },
    };
  },
};

/** A server of its own for each run: the start counts, too. */
function contenderOf(bench: Workbench, name: string, store: string, requestsFile: string): Contender {
  const { folder, signal } = bench;
  return {
    name,
    async run(seconds) {
      const server = await startServer(folder, { name: 'entries', store, keys: await bench.keys(), signal });
      try {
        const { port, workerPid, startMs } = server;
        const { status } = await ask(port, { method: 'GET', path: '/health' });
        if (status !== 200) throw new Error(`/health is answered with ${status}`);
        await sleep(SETTLE_MS, undefined, { signal });
        const { latency } = await runWrk({ port, requestsFile, connections: 1, seconds, signal });
        const { rss } = await memoryOf(workerPid);
        return { figures: { start: startMs, rss: rss / 2 ** 20, p99: latency?.p99 ?? NaN } };
      } finally {
        await server.end();
        await server.truncateLog();
      }
    },
  };
}

/** @throws LeftOut if a disk has no room for a store of so many entries */
export async function checkEntryRoom(folder: string, entries: number): Promise<void> {
  const { bavail, bsize, ffree, files } = await statfs(folder);
  const bytes = entries * BYTES_AN_ENTRY * 1.1;
  if (bavail * bsize < bytes)
    throw new LeftOut(`${folder} has not enough room: ${Math.ceil(bytes / 1e9)} GB are needed; see --folder`);
  // Some file systems have no fixed number of inodes, and tell 0.
  if (files > 0 && ffree < entries * 1.1)
    throw new LeftOut(`${folder} has too few free inodes: ${entries} are needed; see --folder`);
}
