import { networkInterfaces } from 'node:os';
import type { ListenAddress } from '../config/listen-address.ts';
import { formatHost } from '../http/listener.ts';

/** The URLs by which other machines reach a listening address, best first. */
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
 * The addresses by which other machines reach this machine: IPv4, then IPv6; loopback without a network. Skips
 * link-local addresses, because no URL can name the interface that they need.
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

/** The URL by which this machine itself reaches one of its listening addresses, plain HTTP first. */
export function localUrl(addresses: readonly ListenAddress[]): string {
  const address = addresses.find(({ scheme }) => scheme === 'http') ?? addresses[0];
  if (address === undefined) throw new TypeError('a server has an address');
  const { scheme, host, port } = address;
  // Every address includes this one; ::1 is missing where IPv6 is off.
  return `${scheme}://${['::', '0.0.0.0'].includes(host) ? '127.0.0.1' : formatHost(host)}:${port}`;
}

/**
 * The URL for nodes: one that other machines can reach, plain HTTP first, because the Python of a node has to trust a TLS
 * certificate already.
 */
export function bestUrl(urls: readonly string[]): string | undefined {
  const reachable = urls.filter((url) => !/^https?:\/\/(127\.|\[::1\]|localhost)/.test(url));
  const candidates = reachable.length === 0 ? urls : reachable;
  return candidates.find((url) => url.startsWith('http:')) ?? candidates[0];
}
