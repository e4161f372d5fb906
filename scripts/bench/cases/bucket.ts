import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchCase, Contender, Match } from '../bench-case.ts';
import type { HttpServer } from '../http-server.ts';
import { download } from '../load/curl.ts';
import { writeRequests } from '../load/requests.ts';
import { runWrk } from '../load/wrk.ts';
import { startNginx } from '../nginx.ts';
import { findProgram } from '../process/programs.ts';
import { startServer } from '../server.ts';
import type { Workbench } from '../workbench.ts';
import { contenderUnder, type Load } from './against-nginx.ts';
import { slowClientsOn } from './slow-clients.ts';
import { lookupPaths } from './small-requests.ts';

/** Downloads of the large blob in one run of curl. */
const TIMES = 2;
const CONNECTIONS = 32;
/** Keys that all nodes ask for, as after a release came out. */
const WARM_KEYS = 10;

/** Our server between curl and the engine, against curl at the engine. */
export const bucketDownload: BenchCase = {
  name: 'bucket',
  summary: 'one client (curl), 1 GiB blob from a bucket of Ceph, against curl at its gateway',
  needs: ['curl', 'radosgw'],
  async prepare(bench) {
    const { large } = bench.sizes;
    const bucket = await bench.bucket();
    const digest = await bench.bucketBlob('large', large);
    const server = await serverOf(bench, 'bucket', bucket.section);
    const direct = await bucket.publicUrlOf(digest);
    const gateway: Contender = {
      name: 'radosgw',
      async run() {
        const { bytes, seconds } = await download(direct, large, TIMES, bench);
        return { figures: { speed: bytes / 1e6 / seconds } };
      },
    };
    return speedMatch([contenderUnder(server, 'GiB', curlLoad(bench, server, digest)), gateway], 0.7, server);
  },
};

/** From the folder of copies, against a store in a folder. */
export const localCache: BenchCase = {
  name: 'local-cache',
  summary: 'one client (curl), 1 GiB blob of a bucket from the local cache, against a store in a folder',
  needs: ['curl', 'radosgw'],
  async prepare(bench) {
    const { large } = bench.sizes;
    const { section } = await bench.bucket();
    const digest = await bench.bucketBlob('large', large);
    const copies = join(bench.folder, 'copies');
    const server = await serverOf(bench, 'local-cache', { ...section, 'local-cache': copies });
    await untilCopied(bench, server, digest, copies);
    const folder = await bench.ours();
    await bench.blob('large', large);
    return speedMatch(
      [
        contenderUnder(server, 'GiB', curlLoad(bench, server, digest)),
        { ...contenderUnder(folder, 'GiB', curlLoad(bench, folder, digest)), name: 'a folder' },
      ],
      0.9,
      server,
    );
  },
};

/** Our server decides, nginx sends; against nginx alone. */
export const accelRedirect: BenchCase = {
  name: 'accel-redirect',
  summary: 'one client (curl), 1 GiB blob by nginx with X-Accel-Redirect, against nginx alone',
  needs: ['curl', 'nginx'],
  async prepare(bench) {
    const { large } = bench.sizes;
    const digest = await bench.blob('large', large);
    const [alone] = await bench.nginxes();
    const program = findProgram('nginx');
    if (alone === undefined || program === undefined) throw new Error('nginx is missing');
    const ours = await startServer(bench.folder, {
      ...{ name: 'accel', store: bench.store, keys: await bench.keys(), signal: bench.signal },
      server: { 'accel-redirect': '/internal/' },
    });
    const inFront = await startNginx(join(bench.folder, 'accel-nginx'), {
      ...{ program, name: 'ours', directives: 'sendfile on; tcp_nopush on;', store: bench.store },
      ...{ answers: bench.folder, keys: await bench.keys(), signal: bench.signal, decides: ours.port },
    });
    const match = speedMatch(
      [inFront, alone].map((server) => contenderUnder(server, 'GiB', curlLoad(bench, server, digest))),
      0.9,
      inFront,
    );
    return {
      ...match,
      end: async () => {
        await inFront.end();
        await ours.end();
      },
    };
  },
};

/** Lists in memory, each compared with the bucket once in 0.9 s. */
export const bucketLookups: BenchCase = {
  name: 'bucket-lookups',
  summary: `GET /bdir/<key> of a store in a bucket against one in a folder, ${CONNECTIONS} connections, ${WARM_KEYS} keys`,
  needs: ['wrk', 'radosgw'],
  async prepare(bench) {
    const { folder, signal } = bench;
    const { section } = await bench.bucket();
    const keys = (await lookupPaths(bench)).slice(0, WARM_KEYS);
    const requestsFile = await writeRequests(join(folder, 'bucket.requests'), keys);
    const server = await serverOf(bench, 'bucket-lookups', section);
    const load =
      ({ port }: HttpServer): Load =>
      (seconds) =>
        runWrk({ port, requestsFile, connections: CONNECTIONS, seconds, signal });
    const other = await bench.ours();
    return {
      contenders: [
        contenderUnder(server, 'request', load(server)),
        { ...contenderUnder(other, 'request', load(other)), name: 'a folder' },
      ],
      rows: [
        {
          ...{ label: 'rate', figure: 'rate', unit: 'requests/s' },
          target: { of: 'ratio', is: 'at least', value: 0.9 },
        },
        { label: 'p99', figure: 'p99', unit: 'ms' },
      ],
      warmUp: true,
      end: () => server.end(),
    };
  },
};

export const bucketSlowClients: BenchCase = {
  name: 'bucket-slow-clients',
  summary: '200 slow clients (1 MiB/s each) on a 1 GiB blob of a bucket',
  needs: ['wrk', 'radosgw'],
  async prepare(bench) {
    const { section } = await bench.bucket();
    const digest = await bench.bucketBlob('large', bench.sizes.large);
    const server = await serverOf(bench, 'bucket-slow', section);
    const health = { method: 'GET', path: '/health' } as const;
    return slowClientsOn(bench, server, `/bcache/${digest}`, [health], 300);
  },
};

async function serverOf(
  bench: Workbench,
  name: string,
  store: Readonly<Record<string, string>>,
): Promise<HttpServer> {
  return startServer(bench.folder, { name, store, keys: await bench.keys(), signal: bench.signal });
}

function curlLoad(bench: Workbench, { port }: HttpServer, digest: string): Load {
  const { large } = bench.sizes;
  return () => download(`http://127.0.0.1:${port}/bcache/${digest}`, large, TIMES, bench);
}

/** The first download fills the folder behind the client. */
async function untilCopied(
  bench: Workbench,
  { port }: HttpServer,
  digest: string,
  copies: string,
): Promise<void> {
  await mkdir(join(copies, 'bcache'), { recursive: true });
  await download(`http://127.0.0.1:${port}/bcache/${digest}`, bench.sizes.large, 1, bench);
  while (!(await readdir(join(copies, 'bcache'))).includes(digest))
    await sleep(100, undefined, { signal: bench.signal });
}

function speedMatch(contenders: readonly Contender[], least: number, server: HttpServer): Match {
  const [ours, ...others] = contenders;
  if (ours === undefined) throw new Error('nobody is measured');
  return {
    contenders: [ours, ...others],
    rows: [
      {
        ...{ label: 'speed', figure: 'speed', unit: 'MB/s' },
        target: { of: 'ratio', is: 'at least', value: least },
      },
    ],
    warmUp: true,
    end: () => server.end(),
  };
}
