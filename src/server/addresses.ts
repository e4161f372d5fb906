import { networkInterfaces } from 'node:os';
import type { ListenAddress } from '../config/listen-address.ts';
import { formatHost } from '../http/listener.ts';

/** The URLs by which other machines reach an address that is listened on; best first. */
export function urlsOf({ scheme, host, port }: ListenAddress): readonly string[] {
  const hosts =
    host === '::'
      ? reachableHosts()
      : host === '0.0.0.0'
        ? reachableHosts().filter((address) => !address.includes(':'))
        : [host];
  return hosts.map((address) => `${scheme}://${formatHost(address)}:${port}`);
}

/**
 * The machine's addresses as others see them: IPv4 as in the guide, then IPv6. Link-local ones need an interface's
 * name, which no URL can carry. A machine without network has only its own.
 */
function reachableHosts(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const seen = all.filter(({ internal, address }) => !internal && !/^fe[89ab]/i.test(address));
  const hosts = [
    ...seen.filter(({ family }) => family === 'IPv4'),
    ...seen.filter(({ family }) => family === 'IPv6'),
  ].map(({ address }) => address);
  return hosts.length > 0 ? hosts : ['127.0.0.1'];
}

/** Of several URLs the one to tell to nodes: the first that is not this machine's alone. */
export function bestUrl(urls: readonly string[]): string | undefined {
  return urls.find((url) => !/^https?:\/\/(127\.|\[::1\]|localhost)/.test(url)) ?? urls[0];
}
