import type { BackgroundProcess } from './process/background.ts';
import { cpuSecondsOf, forgetPeak, memoryOf, type Usage } from './process/usage.ts';
import type { LoadResult } from './load/load-result.ts';

/** A server under load, ours or another: it serves `/bcache/<sha512>` and `/bdir/<key>` of the same bytes. */
export interface HttpServer extends Pick<BackgroundProcess, 'startMs' | 'truncateLog' | 'end'> {
  readonly name: string;
  /** The process that answers. */
  readonly workerPid: number;
  /** Of 127.0.0.1, for HTTP. */
  readonly port: number;
  /** Of 127.0.0.1, for HTTPS. */
  readonly tlsPort: number;
}

/** Runs a load and tells what it cost the server. */
export async function measureUsage(
  { workerPid, truncateLog }: HttpServer,
  load: () => Promise<LoadResult>,
  unit: Usage['work']['unit'],
): Promise<{ readonly result: LoadResult; readonly usage: Usage }> {
  await forgetPeak(workerPid);
  const before = await cpuSecondsOf(workerPid);
  const result = await load();
  const cpuSeconds = (await cpuSecondsOf(workerPid)) - before;
  const { peak } = await memoryOf(workerPid);
  await truncateLog();
  return {
    result,
    usage: {
      cpuSeconds,
      work: { unit, amount: unit === 'GiB' ? result.bytes : result.requests },
      peakRss: peak,
      serverCores: cpuSeconds / result.seconds,
      clientCores: result.clientCpuSeconds / result.seconds,
    },
  };
}
