import { join } from 'node:path';
import type { BenchCase, Match, Row } from '../bench-case.ts';
import { pseudoRandom } from '../data/pseudo-random.ts';
import { download, TLS13_CIPHER } from '../load/curl.ts';
import { drain } from '../load/own-clients.ts';
import { expectStatus, writeRequests, type BenchRequest } from '../load/requests.ts';
import type { Workbench } from '../workbench.ts';
import { againstNginx } from './against-nginx.ts';

/** Downloads of the large blob in one run of curl: one alone takes half a second. */
const TIMES = 2;
const CLIENTS = 16;
/** Blobs of the middle size that the clients ask for in turn. */
const MIDDLE_BLOBS = 4;
/** Bytes of a range. */
const RANGE = 2 ** 20;
const RANGES = 4096;

const oneClientRows: readonly Row[] = [
  { label: 'speed', figure: 'speed', unit: 'MB/s', target: { of: 'ratio', is: 'at least', value: 0.9 } },
  { label: 'CPU', figure: 'cpu', unit: 'CPU s/GiB', target: { of: 'value', is: 'at most', value: 0.55 } },
];

export const oneClient: BenchCase = {
  name: 'one-client',
  summary: 'one client (curl), 1 GiB blob, warm',
  needs: ['curl'],
  async prepare(bench) {
    const { large } = bench.sizes;
    const path = `/bcache/${await bench.blob('large', large)}`;
    const contenders = await againstNginx(bench, 'GiB', ({ port }) =>
      Promise.resolve(() => download(`http://127.0.0.1:${port}${path}`, large, TIMES, bench)),
    );
    return { contenders, rows: oneClientRows, warmUp: true };
  },
};

export const oneClientDrain: BenchCase = {
  name: 'one-client-drain',
  summary: 'one client (own, with larger reads than curl), 1 GiB blob, warm',
  needs: [],
  async prepare(bench) {
    const path = `/bcache/${await bench.blob('large', bench.sizes.large)}`;
    return drained(bench, 'one-client', 1, [{ method: 'GET', path }], oneClientRows);
  },
};

export const manyClients: BenchCase = {
  name: 'many-clients',
  summary: `${CLIENTS} clients, 96 MiB blobs, warm`,
  needs: [],
  async prepare(bench) {
    const requests: BenchRequest[] = [];
    for (let number = 0; number < MIDDLE_BLOBS; number++) {
      const digest = await bench.blob(`middle ${number}`, bench.sizes.middle);
      requests.push({ method: 'GET', path: `/bcache/${digest}` });
    }
    return drained(bench, 'many-clients', CLIENTS, requests, [
      { label: 'speed', figure: 'speed', unit: 'MB/s', target: { of: 'ratio', is: 'at least', value: 1 } },
    ]);
  },
};

export const ranges: BenchCase = {
  name: 'ranges',
  summary: `ranges of 1 MiB at random offsets, ${CLIENTS} clients`,
  needs: [],
  async prepare(bench) {
    const { large } = bench.sizes;
    const path = `/bcache/${await bench.blob('large', large)}`;
    const requests = offsets(RANGES, large - RANGE).map((offset): BenchRequest => ({
      ...{ method: 'GET', path },
      header: `Range: bytes=${offset}-${offset + RANGE - 1}`,
    }));
    return drained(
      ...[bench, 'ranges', CLIENTS, requests],
      [
        {
          label: 'speed',
          figure: 'speed',
          unit: 'MB/s',
          target: { of: 'ratio', is: 'at least', value: 0.8 },
        },
      ],
      206,
    );
  },
};

export const https: BenchCase = {
  name: 'https',
  summary: 'HTTPS (TLS 1.3), one client (curl), 1 GiB blob, warm',
  needs: ['curl'],
  async prepare(bench) {
    const { large } = bench.sizes;
    const path = `/bcache/${await bench.blob('large', large)}`;
    const { tlsCertificate } = await bench.keys();
    const args = ['--cacert', tlsCertificate, '--tlsv1.3', '--tls13-ciphers', TLS13_CIPHER];
    const contenders = await againstNginx(bench, 'GiB', ({ tlsPort }) =>
      Promise.resolve(() =>
        download(`https://127.0.0.1:${tlsPort}${path}`, large, TIMES, { signal: bench.signal, args }),
      ),
    );
    return {
      contenders,
      rows: [
        {
          label: 'speed',
          figure: 'speed',
          unit: 'MB/s',
          target: { of: 'ratio', is: 'at least', value: 0.7 },
        },
      ],
      warmUp: true,
    };
  },
};

async function drained(
  bench: Workbench,
  name: string,
  connections: number,
  requests: readonly BenchRequest[],
  rows: readonly Row[],
  status = 200,
): Promise<Match> {
  const requestsFile = await writeRequests(join(bench.folder, `${name}.requests`), requests);
  const contenders = await againstNginx(bench, 'GiB', async ({ port }) => {
    await expectStatus(port, requests, status);
    return (seconds) => drain({ port, requestsFile, connections, seconds }, bench.signal);
  });
  return { contenders, rows, warmUp: true };
}

/** The same ones each time. */
function offsets(count: number, below: number): readonly number[] {
  const [bytes] = pseudoRandom('offsets', count * 4);
  return Array.from({ length: count }, (_, index) => (bytes?.readUInt32LE(index * 4) ?? 0) % below);
}
