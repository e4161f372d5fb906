import { readFile, writeFile } from 'node:fs/promises';

/** What the process under load used. */
export interface Usage {
  /** CPU seconds, of all its threads. */
  readonly cpuSeconds: number;
  /** What was done for it: `amount` is bytes or requests. */
  readonly work: { readonly unit: 'GiB' | 'request'; readonly amount: number };
  /** Bytes of memory at the highest. */
  readonly peakRss: number;
  /** Cores kept busy, 1 for one of them. */
  readonly serverCores: number;
  /** The same of the client; near 1 the client, which has one thread, may be what is measured. */
  readonly clientCores: number;
}

/** The kernel tells CPU time in these; USER_HZ is 100 on every Linux that Debian has. */
const TICKS_A_SECOND = 100;

/** CPU seconds of a process so far, all its threads together. */
export async function cpuSecondsOf(pid: number): Promise<number> {
  const fields = await statOf(String(pid));
  return (numberAt(fields, 11) + numberAt(fields, 12)) / TICKS_A_SECOND;
}

/** CPU seconds of the children of this process that have ended, and of theirs. */
export async function cpuSecondsOfChildren(): Promise<number> {
  const fields = await statOf('self');
  return (numberAt(fields, 13) + numberAt(fields, 14)) / TICKS_A_SECOND;
}

/** Bytes of memory: now, and at the highest since `forgetPeak`. */
export async function memoryOf(pid: number): Promise<{ readonly rss: number; readonly peak: number }> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const bytesOf = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
  return { rss: bytesOf('VmRSS'), peak: bytesOf('VmHWM') };
}

/** Lets the highest memory count from now on; where the kernel doesn't allow it, it counts from the start. */
export async function forgetPeak(pid: number): Promise<void> {
  await writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined);
}

/** The processes that `pid` started and that run now. */
export async function childrenOf(pid: number): Promise<readonly number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.split(' ').filter(Boolean).map(Number);
}

/** The fields of /proc/PID/stat (proc(5)) behind the name, which may hold spaces: the first one is `state`. */
async function statOf(pid: string): Promise<readonly string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function numberAt(fields: readonly string[], index: number): number {
  return Number(fields[index]);
}
