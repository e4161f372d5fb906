import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

/**
 * The name of a temporary file identifies its writer, so that other processes can distinguish leftovers of killed
 * writers from files being written. There are no locks to go stale.
 */

/** A writer on another host or in another container counts as gone after this time. */
const UNSEEN_LIMIT_MS = 24 * 3600 * 1000;

interface Owner {
  readonly host: string;
  readonly boot: string;
  /** The pid namespace: containers use the same pid for different processes. */
  readonly namespace: string;
  readonly pid: number;
  /** Start time of the process, because pids are reused. */
  readonly start: string;
}

/** `HOST-BOOT-NAMESPACE-PID-START` of this process. */
export function ownerTag(): string {
  const { host, boot, namespace, pid, start } = thisProcess();
  return `${host}-${boot}-${namespace}-${pid}-${start}`;
}

/**
 * Whether the writer of a temporary file is gone.
 * @param modified when the file was last written, milliseconds since 1970
 */
export function isLeftover(fileName: string, modified: number, now: number = Date.now()): boolean {
  const state = ownerStateOf(fileName);
  return state === 'unseen' ? now - modified > UNSEEN_LIMIT_MS : state === 'gone';
}

/** Whether a file has the name of a temporary file; foreign files have other names. */
export function tellsOwner(fileName: string): boolean {
  return parseOwner(fileName) !== undefined;
}

/** The state of the process that a file's name identifies; `unseen`: on another host or in another container. */
export function ownerStateOf(fileName: string): 'alive' | 'gone' | 'unseen' {
  const owner = parseOwner(fileName);
  const me = thisProcess();
  if (owner?.host !== me.host) return 'unseen';
  if (owner.boot !== me.boot) return 'gone';
  if (owner.namespace !== me.namespace) return 'unseen';
  return startOf(owner.pid) === owner.start ? 'alive' : 'gone';
}

function parseOwner(fileName: string): Owner | undefined {
  const [, host, boot, namespace, pid, start] = /^(\w+)-(\w+)-(\w+)-(\d+)-(\d+)\./.exec(fileName) ?? [];
  if (!host || !boot || !namespace || !pid || !start) return undefined;
  return { host, boot, namespace, pid: Number(pid), start };
}

function thisProcess(): Owner {
  return {
    host: shortHash(attempt(() => readFileSync('/etc/machine-id', 'utf8')) ?? hostname()),
    boot: shortHash(attempt(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8')) ?? ''),
    namespace: shortHash(attempt(() => readlinkSync('/proc/self/ns/pid')) ?? ''),
    pid: process.pid,
    start: startOf(process.pid) ?? '0',
  };
}

/** Field 22 of /proc/PID/stat (proc(5)), counted after the command's name, which may contain spaces and parentheses. */
function startOf(pid: number): string | undefined {
  const text = attempt(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  if (text !== undefined) return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  // Without /proc only the existence of the pid can be checked.
  return attempt(() => process.kill(pid, 0)) === undefined ? undefined : '0';
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8);
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined; // Not Linux, or /proc is hidden: callers have a fallback.
  }
}
