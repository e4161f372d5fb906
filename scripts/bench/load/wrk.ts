import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { execute } from '../process/execute.ts';
import type { LoadResult } from './load-result.ts';

export interface WrkOptions {
  readonly port: number;
  /** Written by `writeRequests`. */
  readonly requestsFile: string;
  readonly connections: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

const script = fileURLToPath(new URL('requests.lua', import.meta.url));

const report = z.object({
  microseconds: z.number(),
  requests: z.number(),
  bytes: z.number(),
  p50: z.number(),
  p99: z.number(),
  errors: z.number(),
});

/**
 * Many small requests over connections that stay, from one thread: the other core is the server's. It reads 8 KiB at a
 * time, so large answers would measure wrk itself; `drain` is for those.
 */
export async function runWrk({
  port,
  requestsFile,
  connections,
  seconds,
  signal,
}: WrkOptions): Promise<LoadResult> {
  const host = `127.0.0.1:${port}`;
  const { stdout, cpuSeconds } = await execute(
    'wrk',
    [
      ...[
        '-t1',
        `-c${connections}`,
        `-d${Math.max(1, Math.round(seconds))}s`,
        '--timeout',
        '10s',
        '--latency',
      ],
      ...['-s', script, `http://${host}/`, '--', requestsFile, host],
    ],
    { signal, limitSeconds: seconds + 30 },
  );
  const [, json] = /^RESULT (.*)$/m.exec(stdout) ?? [];
  if (json === undefined) throw new Error(`wrk tells no result: ${stdout.trim().split('\n').at(-1) ?? ''}`);
  const { microseconds, requests, bytes, p50, p99, errors } = report.parse(JSON.parse(json));
  if (errors > 0 || requests === 0)
    throw new Error(`wrk had ${errors} errors in ${requests} requests to ${host}`);
  return {
    bytes,
    requests,
    seconds: microseconds / 1e6,
    clientCpuSeconds: cpuSeconds,
    latency: { p50: p50 / 1000, p99: p99 / 1000 },
  };
}
