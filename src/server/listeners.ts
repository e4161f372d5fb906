import type { ListenAddress } from '../config/listen-address.ts';
import { createListener, type Listener } from '../http/listener.ts';
import type { ConnectionLimit } from '../http/open-connections.ts';
import type { TlsMaterial } from '../operations/tls-certificate.ts';
import type { PassedSocket } from './passed-sockets.ts';
import type { ServerLog } from './server-log.ts';

/** Milliseconds that running downloads have to finish when the server stops. */
const STOP_LIMIT_MS = 30_000;

export interface OpenListener extends Listener {
  /** As it is configured; of a passed socket, as it is. */
  readonly address: ListenAddress;
}

/** @throws CacheError `usage`, `config`: it can't listen on one of them; then it listens on none */
export async function listenOnAll(
  app: Parameters<typeof createListener>[0],
  places: readonly (ListenAddress | PassedSocket)[],
  tls: TlsMaterial | undefined,
  limit: ConnectionLimit,
): Promise<readonly OpenListener[]> {
  const listeners: OpenListener[] = [];
  try {
    for (const place of places) {
      const { scheme } = place;
      const listener = await createListener(app, place, scheme === 'https' ? tls : undefined, limit);
      const { host, port } = 'fd' in place ? listener : place;
      listeners.push({ ...listener, address: { scheme, host, port } });
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close(0)));
    throw error;
  }
  return listeners;
}

/** Lets running requests end. A second signal ends the process at once with exit code 1. */
export async function closeAll(listeners: readonly Listener[], log: ServerLog): Promise<void> {
  const endNow = (): void => {
    log.flush();
    process.exit(1);
  };
  process.once('SIGTERM', endNow).once('SIGINT', endNow);
  const broken = await Promise.all(listeners.map((listener) => listener.close(STOP_LIMIT_MS)));
  const count = broken.reduce((sum, number) => sum + number, 0);
  if (count > 0)
    log.warn(`stopped; ${count} connections were still busy after ${STOP_LIMIT_MS / 1000} s and were broken`);
  log.flush();
  process.off('SIGTERM', endNow).off('SIGINT', endNow);
}
