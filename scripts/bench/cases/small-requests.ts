import { join } from 'node:path';
import { digestOf } from '../../../src/cache/digest.ts';
import type { BenchCase, Match } from '../bench-case.ts';
import { ask, expectStatus, writeRequests, type BenchRequest } from '../load/requests.ts';
import { runWrk } from '../load/wrk.ts';
import type { Workbench } from '../workbench.ts';
import { againstNginx } from './against-nginx.ts';

const CONNECTIONS = 32;

export const lookups: BenchCase = {
  name: 'lookups',
  summary: `GET /bdir/<key>, keep-alive, ${CONNECTIONS} connections, 1 000 keys`,
  needs: ['wrk'],
  async prepare(bench) {
    return rated(bench, 'lookups', await lookupPaths(bench), 200);
  },
};

export const head: BenchCase = {
  name: 'head',
  summary: `HEAD /bcache/<sha512>, ${CONNECTIONS} connections`,
  needs: ['wrk'],
  async prepare(bench) {
    // wrk waits for the body that Content-Length announces, which doesn't come after HEAD. So it is the blob without
    // bytes: all that a server does for HEAD it does for this one, too.
    const digest = await bench.blob('empty', 0);
    if (digest !== digestOf('')) throw new Error('the empty blob is not empty');
    return rated(bench, 'head', [{ method: 'HEAD', path: `/bcache/${digest}` }], 200);
  },
};

export const notModifiedLookups: BenchCase = {
  name: '304-bdir',
  summary: `GET /bdir/<key> with the ETag: 304, ${CONNECTIONS} connections, 1 000 keys`,
  needs: ['wrk'],
  async prepare(bench) {
    return rated(bench, '304-bdir', await lookupPaths(bench), 304);
  },
};

export const notModifiedBlobs: BenchCase = {
  name: '304-bcache',
  summary: `GET /bcache/<sha512> with the ETag: 304, ${CONNECTIONS} connections, 1 000 blobs`,
  needs: ['wrk'],
  async prepare(bench) {
    const releases = await bench.releases();
    const requests = releases.map(({ sha512 }): BenchRequest => ({
      method: 'GET',
      path: `/bcache/${sha512}`,
    }));
    return rated(bench, '304-bcache', requests, 304);
  },
};

/** Requests for all keys of the store. */
export async function lookupPaths(bench: Workbench): Promise<readonly BenchRequest[]> {
  return (await bench.releases()).map(({ key }): BenchRequest => ({ method: 'GET', path: `/bdir/${key}` }));
}

async function rated(
  bench: Workbench,
  name: string,
  requests: readonly BenchRequest[],
  status: 200 | 304,
): Promise<Match> {
  const { folder, signal } = bench;
  const contenders = await againstNginx(bench, 'request', async ({ port, name: server }) => {
    const sent = status === 304 ? await withEtags(port, requests) : requests;
    await expectStatus(port, sent, status);
    const requestsFile = await writeRequests(
      join(folder, `${name}-${server.replace(' ', '-')}.requests`),
      sent,
    );
    return (seconds) => runWrk({ port, requestsFile, connections: CONNECTIONS, seconds, signal });
  });
  return {
    contenders,
    rows: [
      {
        label: 'rate',
        figure: 'rate',
        unit: 'requests/s',
        target: { of: 'ratio', is: 'at least', value: 0.42 },
      },
      { label: 'p99', figure: 'p99', unit: 'ms' },
    ],
    warmUp: true,
  };
}

/** Each server has ETags of its own. */
async function withEtags(port: number, requests: readonly BenchRequest[]): Promise<readonly BenchRequest[]> {
  const conditional: BenchRequest[] = [];
  for (const request of requests) {
    const { headers } = await ask(port, request);
    if (headers.etag === undefined) throw new Error(`${request.path} has no ETag`);
    conditional.push({ ...request, header: `If-None-Match: ${headers.etag}` });
  }
  return conditional;
}
