import { isIPv6 } from 'node:net';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { isHost, parseList } from './value.ts';

/** An address that the server listens on. */
export interface ListenAddress {
  readonly scheme: 'http' | 'https';
  /** A name or an address without brackets; `::` means every address, also of IPv4. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

const ADDRESS = /^(?:(https?):\/\/)?(?:\[([^\]]*)\]:|([^:/[\]]*):)?(\d{1,5})\/?$/i;

/**
 * The addresses of `listen` and `--listen`, separated by white space or commas: `[::]:5050`, `127.0.0.1:5050`,
 * `:5050` or `5050` for every address, optionally with `http://` or `https://`.
 * @param tls whether the server has a certificate; then addresses without a scheme use HTTPS
 * @throws CacheError `usage`
 */
export function parseListen(text: string, { tls }: { readonly tls: boolean }): readonly ListenAddress[] {
  const addresses = parseList(text).map((item) => parseAddress(item, tls));
  if (addresses.length === 0)
    throw new CacheError('usage', 'names no address; write HOST:PORT, such as [::]:5050');
  for (const [index, { host, port }] of addresses.entries()) {
    if (port !== 0 && addresses.findIndex((other) => other.host === host && other.port === port) !== index) {
      throw new CacheError(
        'usage',
        `${formatAuthority(host, port)} is repeated; write each address once, with one scheme`,
      );
    }
  }
  return addresses;
}

function parseAddress(text: string, tls: boolean): ListenAddress {
  const [, scheme, bracketed, bare, digits] = ADDRESS.exec(text) ?? [];
  const host = (bracketed ?? bare ?? '').toLowerCase() || '::';
  const port = Number(digits);
  if (digits === undefined || (bracketed === undefined ? !isHost(host) : !isIPv6(bracketed))) {
    throw new CacheError('usage', `not an address: ${quoteBriefly(text)}; ${adviceFor(text)}`);
  }
  if (port > 65535) throw new CacheError('usage', `no port ${port}: ${quoteBriefly(text)}; write 0 to 65535`);
  if (scheme?.toLowerCase() === 'https' && !tls) {
    throw new CacheError(
      'usage',
      `${text} requires TLS, which is off; set tls = auto, or tls-certificate and tls-key, or write http://`,
    );
  }
  const spoken = scheme?.toLowerCase() ?? (tls ? 'https' : 'http');
  return { scheme: spoken === 'https' ? 'https' : 'http', host, port };
}

function adviceFor(text: string): string {
  const bare = text.replace(/^https?:\/\//i, '').replace(/\/$/, '');
  const unbracketed = bare.replace(/^\[|\]$/g, '');
  if (isHost(unbracketed)) return `add the port: ${formatAuthority(unbracketed, 5050)}`;
  if (/:.*:/.test(bare) && !bare.includes('['))
    return 'write an IPv6 address in brackets: [2001:db8::1]:5050';
  return 'write HOST:PORT, such as [::]:5050 or 127.0.0.1:5050';
}

/** `HOST:PORT` as in a URL. */
function formatAuthority(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
