import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { asOneLine } from '../cache/controls.ts';
import { shortReasonOf } from '../cache/errors.ts';

/** systemd, if it started this process and waits for its messages (sd_notify(3)); otherwise nothing is sent. */
export interface ServiceManager {
  /**
   * Tells that the server answers, and from now on, at half of the time that systemd allows, that it still does.
   * @param status a line for `systemctl status`
   * @param isAlive false: systemd hears nothing, and restarts the server
   */
  ready(status: string, isAlive: () => boolean): void;
  /** Tells that `reload` begins, and when it has ended. */
  reloading(reload: () => Promise<void>): Promise<void>;
  /** Tells that the server ends. Resolves when systemd has heard it. */
  stopping(): Promise<void>;
}

const run = promisify(execFile);

/**
 * Node has no datagrams of AF_UNIX, in which systemd listens: its own program systemd-notify sends them, one after the
 * other, and waits until systemd has read each.
 * @param env is searched for NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID
 * @param warn receives faults, each once
 */
export function createServiceManager(
  { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID }: Readonly<Record<string, string | undefined>>,
  warn: (message: string) => void,
): ServiceManager {
  let last = Promise.resolve();
  let waiting = 0;
  const told = new Set<string>();
  const send = (...assignments: readonly string[]): Promise<void> => {
    if (NOTIFY_SOCKET === undefined) return Promise.resolve();
    waiting++;
    last = last
      .then(async () => {
        await run('systemd-notify', assignments);
      })
      .catch((error: unknown) => {
        const message = `systemd hears nothing of this server: systemd-notify: ${shortReasonOf(error)}`;
        if (!told.has(message)) warn(message);
        told.add(message);
      })
      .finally(() => waiting--);
    return last;
  };

  let timer: NodeJS.Timeout | undefined;
  return {
    ready(status, isAlive) {
      void send('READY=1', `STATUS=${asOneLine(status)}`);
      if (WATCHDOG_USEC === undefined || (WATCHDOG_PID ?? String(process.pid)) !== String(process.pid))
        return;
      const interval = Number(WATCHDOG_USEC) / 1000 / 2;
      timer = setInterval(() => {
        if (waiting === 0 && isAlive()) void send('WATCHDOG=1');
      }, interval).unref();
    },
    async reloading(reload) {
      // The time lets Type=notify-reload of systemd 253 pair this message with its signal.
      void send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
      await reload();
      await send('READY=1');
    },
    async stopping() {
      clearInterval(timer);
      await send('STOPPING=1', 'STATUS=stopping; running downloads may end');
    },
  };
}
