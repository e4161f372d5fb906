import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { BenchCase, Contender, Sample } from '../bench-case.ts';
import { makeIndexStore } from '../data/index-store.ts';
import type { HttpServer } from '../http-server.ts';
import { ask, writeRequests } from '../load/requests.ts';
import { runWrk } from '../load/wrk.ts';
import { memoryOf } from '../process/usage.ts';
import { medianOf } from '../result.ts';
import { startServer } from '../server.ts';
import type { Workbench } from '../workbench.ts';
import { checkEntryRoom } from './many-entries.ts';

const CONNECTIONS = 8;
/** Requests for each kind of page. */
const PAGES = 20;

/** Lookups while the index is built against lookups afterwards, and what the index costs. */
export const indexOfStore: BenchCase = {
  name: 'index',
  summary: 'the index of a store of many entries: time, memory, pages, and lookups while it is built',
  needs: ['wrk'],
  async prepare(bench) {
    const { folder, sizes, signal } = bench;
    const store = join(folder, 'index-store');
    await checkEntryRoom(folder, sizes.indexEntries);
    bench.tell(`making a store of ${sizes.indexEntries} releases`);
    const { keys, remove } = await makeIndexStore(store, sizes.indexEntries, signal);
    const requestsFile = await writeRequests(
      join(folder, 'index.requests'),
      keys.map((key) => ({ method: 'GET', path: `/bdir/${key}` })),
    );
    return {
      contenders: [
        contenderOf(bench, 'while it is built', store, requestsFile, false),
        contenderOf(bench, 'afterwards', store, requestsFile, true),
      ],
      rows: [
        { label: 'lookups p99', figure: 'p99', unit: 'ms', target: { of: 'ratio', is: 'at most', value: 2 } },
        { label: 'time', figure: 'time', unit: 's' },
        { label: 'RSS', figure: 'rss', unit: 'MiB', target: { of: 'value', is: 'at most', value: 500 } },
        { label: 'page', figure: 'page', unit: 'ms', target: { of: 'value', is: 'at most', value: 50 } },
        { label: 'page of a search', figure: 'search', unit: 'ms' },
      ],
      warmUp: false,
      end: remove,
    };
  },
};

function contenderOf(
  bench: Workbench,
  name: string,
  store: string,
  requestsFile: string,
  isComplete: boolean,
): Contender {
  const { folder, signal } = bench;
  return {
    name,
    async run(seconds): Promise<Sample> {
      const server = await startServer(folder, { name: 'index', store, keys: await bench.keys(), signal });
      try {
        const { port, workerPid } = server;
        const begin = performance.now();
        const complete = untilComplete(port, signal).then(() => (performance.now() - begin) / 1000);
        if (isComplete) await complete;
        const { latency } = await runWrk({ port, requestsFile, connections: CONNECTIONS, seconds, signal });
        const time = await complete;
        const page = await timeOf(server, '/v1/_catalog?sort=received&order=desc');
        const search = await timeOf(server, '/v1/_catalog?q=component-7');
        const { rss } = await memoryOf(workerPid);
        return { figures: { p99: latency?.p99 ?? NaN, time, page, search, rss: rss / 2 ** 20 } };
      } finally {
        await server.end();
        await server.truncateLog();
      }
    },
  };
}

const answer = z.object({ complete: z.boolean() });

async function untilComplete(port: number, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { body } = await ask(port, { method: 'GET', path: '/v1/_catalog?limit=1' });
    if (answer.parse(JSON.parse(body.toString())).complete) return;
    await sleep(200, undefined, { signal });
  }
}

/** Milliseconds; the median. */
async function timeOf({ port }: HttpServer, path: string): Promise<number> {
  const times: number[] = [];
  for (let count = 0; count < PAGES; count++) {
    const begin = performance.now();
    const { status } = await ask(port, { method: 'GET', path });
    if (status !== 200) throw new Error(`${path} is answered with ${status}`);
    times.push(performance.now() - begin);
  }
  return medianOf(times);
}
