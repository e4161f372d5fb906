import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { execute } from '../process/execute.ts';
import type { LoadResult } from './load-result.ts';

/** What the drain is told (one JSON argument). */
export const drainOrder = z.object({
  port: z.number(),
  /** Written by `writeRequests`; the connections begin at different ones. */
  requestsFile: z.string(),
  connections: z.number(),
  seconds: z.number(),
});
export type DrainOrder = z.infer<typeof drainOrder>;

/** What it says at its end (one JSON line). */
export const drainReport = z.object({
  bytes: z.number(),
  requests: z.number(),
  seconds: z.number(),
  cpuSeconds: z.number(),
});

/** Large answers over connections that stay, read into one large buffer: the cheapest client there is. */
export async function drain(order: DrainOrder, signal: AbortSignal): Promise<LoadResult> {
  const { stdout } = await execute(process.execPath, clientCommand('drain.ts', order), {
    signal,
    limitSeconds: order.seconds + 60,
  });
  const { cpuSeconds, ...result } = drainReport.parse(JSON.parse(stdout));
  return { ...result, clientCpuSeconds: cpuSeconds };
}

/** What the slow clients are told (one JSON argument). */
export const slowOrder = z.object({
  port: z.number(),
  path: z.string(),
  clients: z.number(),
  /** Bytes a second, of each. */
  rate: z.number(),
  /** They end by themselves after this time. */
  limitSeconds: z.number(),
});
export type SlowOrder = z.infer<typeof slowOrder>;

/** What they say (JSON lines): how it stands, each second. */
export const slowReport = z.object({
  /** Clients that got something already. */
  served: z.number(),
  /** Bytes that came, all clients together. */
  bytes: z.number(),
  /** Milliseconds of a clock of theirs. */
  at: z.number(),
});
export type SlowReport = z.infer<typeof slowReport>;

/** Slow clients at work. */
export interface SlowClients {
  /** How it stands, no older than a second. @throws Error when they failed */
  report(): Promise<SlowReport>;
  end(): Promise<void>;
}

/** Starts them; resolves when each has got its first bytes. */
export async function startSlowClients(order: SlowOrder, signal: AbortSignal): Promise<SlowClients> {
  const child = spawn(process.execPath, clientCommand('slow-clients.ts', order), {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
  });
  let fault: Error | undefined;
  child.once('error', (error) => (fault ??= error));
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const exited = once(child, 'exit');
  const report = async (): Promise<SlowReport> => {
    const line = await lines.next();
    if (line.done === true) throw fault ?? new Error('the slow clients ended too early');
    return slowReport.parse(JSON.parse(line.value));
  };
  const end = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
    await exited;
  };
  try {
    while ((await report()).served < order.clients);
  } catch (error) {
    await end();
    throw error;
  }
  return { report, end };
}

/** Arguments for node that run a client of this folder as a process of its own. */
export function clientCommand(file: string, order: unknown): readonly string[] {
  const tsx = import.meta.resolve('tsx');
  return ['--import', tsx, fileURLToPath(new URL(file, import.meta.url)), JSON.stringify(order)];
}
