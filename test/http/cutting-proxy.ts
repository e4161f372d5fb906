import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { formatHost } from '../../src/http/listener.ts';
import type { Place } from './raw-connection.ts';

export interface CuttingProxy {
  readonly url: string;
  /** Connections that were cut. */
  cuts(): number;
}

/**
 * A bad network in front of a server: cuts each connection after `bytes` bytes of answer, `times` times; later ones
 * pass. Ends with the test.
 */
export async function startCuttingProxy(
  { host, port }: Place,
  { bytes, times }: { readonly bytes: number; readonly times: number },
): Promise<CuttingProxy> {
  let connections = 0;
  let cuts = 0;
  const open = new Set<Socket>();
  const server = createServer((client) => {
    open.add(client);
    const mayCut = ++connections <= times;
    let left = bytes;
    const upstream = connect({ host, port });
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (mayCut && chunk.length >= left) {
        cuts += 1;
        upstream.destroy();
        client.end(chunk.subarray(0, left));
      } else {
        left -= chunk.length;
        if (!client.write(chunk)) upstream.pause();
      }
    });
    client.on('drain', () => upstream.resume());
    upstream.on('end', () => client.end());
    for (const socket of [client, upstream]) socket.on('error', () => undefined);
    client.on('close', () => {
      open.delete(client);
      upstream.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen({ host, port: 0 }, resolve));
  onTestFinished(
    () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        // Clients keep connections for their next request.
        for (const client of open) client.destroy();
      }),
  );
  return { url: `http://${formatHost(host)}:${(server.address() as AddressInfo).port}`, cuts: () => cuts };
}
