import type { Contender, Sample } from '../bench-case.ts';
import { measureUsage, type HttpServer } from '../http-server.ts';
import type { LoadResult } from '../load/load-result.ts';
import type { Usage } from '../process/usage.ts';
import type { Workbench } from '../workbench.ts';

/** A load on one server. @param seconds how long it runs, where it can have any length */
export type Load = (seconds: number) => Promise<LoadResult>;

/**
 * Our server and the nginxes, under the same load.
 * @param loadOf called once a server, to make what its load needs
 */
export async function againstNginx(
  bench: Workbench,
  unit: Usage['work']['unit'],
  loadOf: (server: HttpServer) => Promise<Load>,
): Promise<readonly [Contender, ...Contender[]]> {
  const contenderOf = async (server: HttpServer): Promise<Contender> =>
    contenderUnder(server, unit, await loadOf(server));
  const rivals: Contender[] = [];
  const ours = await contenderOf(await bench.ours());
  for (const server of await bench.nginxes()) rivals.push(await contenderOf(server));
  return [ours, ...rivals];
}

/** A server under a load. */
export function contenderUnder(server: HttpServer, unit: Usage['work']['unit'], load: Load): Contender {
  return {
    name: server.name,
    async run(seconds) {
      const { result, usage } = await measureUsage(server, () => load(seconds), unit);
      return { figures: figuresOf(result, usage), usage };
    },
  };
}

/** `speed` in MB/s, `rate` in requests a second, `cpu` in CPU seconds a GiB, `p99` in ms. */
function figuresOf(
  { bytes, requests, seconds, latency }: LoadResult,
  { cpuSeconds }: Usage,
): Sample['figures'] {
  return {
    speed: bytes / 1e6 / seconds,
    rate: requests / seconds,
    cpu: cpuSeconds / (bytes / 2 ** 30),
    ...(latency === undefined ? {} : { p99: latency.p99 }),
  };
}
