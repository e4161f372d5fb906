import type { ListenAddress } from '../config/listen-address.ts';
import { createListener, type Listener } from '../http/listener.ts';
import type { ConnectionLimit } from '../http/open-connections.ts';
import type { TlsMaterial } from '../operations/tls-certificate.ts';
import type { ServerLog } from './server-log.ts';

/** Milliseconds that running downloads have to finish when the server stops. */
const STOP_LIMIT_MS = 30_000;

export interface OpenListener extends Listener {
  readonly address: ListenAddress;
}

/** @throws CacheError `usage`, `config`: it can't listen on an address; then it listens on none */
export async function listenOnAll(
  app: Parameters<typeof createListener>[0],
  addresses: readonly ListenAddress[],
  tls: TlsMaterial | undefined,
  limit: ConnectionLimit,
): Promise<readonly OpenListener[]> {
  const listeners: OpenListener[] = [];
  try {
    for (const address of addresses) {
      const material = address.scheme === 'https' ? tls : undefined;
      listeners.push({ ...(await createListener(app, address, material, limit)), address });
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
