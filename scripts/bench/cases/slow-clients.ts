import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchCase, Contender, Match } from '../bench-case.ts';
import { measureUsage, type HttpServer } from '../http-server.ts';
import { startSlowClients } from '../load/own-clients.ts';
import { writeRequests, type BenchRequest } from '../load/requests.ts';
import { runWrk } from '../load/wrk.ts';
import { startServer } from '../server.ts';
import type { Workbench } from '../workbench.ts';
import { lookupPaths } from './small-requests.ts';

/** Bytes a second that each takes. */
const RATE = 2 ** 20;
/** Until the first rush is over: sockets fill their buffers at once, whatever the client's rate. */
const SETTLE_MS = 3000;

/** Lookups come from one connection, one after the other: it is how long a node waits that counts. */
export const slowClients: BenchCase = {
  name: 'slow-clients',
  summary: '200 slow clients (1 MiB/s each) on a 1 GiB blob, lookups beside them',
  needs: ['wrk'],
  async prepare(bench) {
    const { folder, signal, store } = bench;
    const path = `/bcache/${await bench.blob('large', bench.sizes.large)}`;
    // One of its own: what other loads left in memory is not this one's.
    const server = await startServer(folder, {
      name: 'slow-clients',
      store,
      keys: await bench.keys(),
      signal,
    });
    const match = await slowClientsOn(bench, server, path, await lookupPaths(bench), 200);
    const wanted = (bench.sizes.slowClients * RATE) / 1e6;
    return {
      ...match,
      rows: [
        ...match.rows,
        { label: 'lookups p99', figure: 'p99', unit: 'ms', target: { of: 'ratio', is: 'at most', value: 3 } },
        // All of them get what they can take: otherwise the other figures would mean nothing.
        {
          label: 'their speed',
          figure: 'speed',
          unit: 'MB/s',
          target: { of: 'value', is: 'at least', value: wanted * 0.95 },
        },
      ],
    };
  },
};

/**
 * Slow clients on a server, and requests beside them and without them. Figures: `rss` in MiB, `p99` of the requests in ms, `speed`
 * of the clients in MB/s. Ends the server.
 * @param mostRss target in MiB
 */
export async function slowClientsOn(
  bench: Workbench,
  server: HttpServer,
  path: string,
  requests: readonly BenchRequest[],
  mostRss: number,
): Promise<Match> {
  const { folder, signal } = bench;
  const clients = bench.sizes.slowClients;
  const requestsFile = await writeRequests(join(folder, 'slow-clients.requests'), requests);
  const { port } = server;
  const lookUp = (seconds: number): ReturnType<typeof runWrk> =>
    runWrk({ port, requestsFile, connections: 1, seconds, signal });

  const idle: Contender = {
    name: 'without them',
    async run(seconds) {
      const { latency } = await lookUp(seconds);
      return { figures: { p99: latency?.p99 ?? NaN } };
    },
  };
  const busy: Contender = {
    name: 'ours',
    async run(seconds) {
      const limitSeconds = seconds + 60;
      let speed = 0;
      const load = async (): Promise<Awaited<ReturnType<typeof lookUp>>> => {
        const slow = await startSlowClients({ port, path, clients, rate: RATE, limitSeconds }, signal);
        try {
          await sleep(SETTLE_MS, undefined, { signal });
          const before = await slow.report();
          const result = await lookUp(seconds);
          // The reports of the time in between are waiting to be read.
          let after = await slow.report();
          while (after.at - before.at < seconds * 1000) after = await slow.report();
          speed = (after.bytes - before.bytes) / 1e3 / (after.at - before.at);
          return result;
        } finally {
          await slow.end();
        }
      };
      const { result, usage } = await measureUsage(server, load, 'request');
      return { figures: { p99: result.latency?.p99 ?? NaN, rss: usage.peakRss / 2 ** 20, speed } };
    },
  };
  return {
    contenders: [busy, idle],
    rows: [
      {
        ...{ label: 'peak RSS', figure: 'rss', unit: 'MiB' },
        target: { of: 'value', is: 'at most', value: mostRss },
      },
    ],
    warmUp: false,
    end: () => server.end(),
  };
}
