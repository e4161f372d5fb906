import { BlockList, isIP } from 'node:net';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

/** An HTTP proxy of the environment. */
export interface Proxy {
  readonly hostname: string;
  readonly port: number;
  /** `http://HOST:PORT`, without user name and password: for messages. */
  readonly name: string;
  /** Its environment variable. */
  readonly variable: string;
  /** The value of `Proxy-Authorization` (RFC 9110, 11.7.2), if there is a user name. */
  readonly authorization: string | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a URL, from `http_proxy`, `https_proxy` and `no_proxy` in lower or upper case, as in curl. Unlike curl, never
 * uses a proxy for this machine itself.
 * @throws CacheError `config`: a proxy other than `http://`
 */
export function proxyFor({ protocol, hostname }: URL, environment: Environment): Proxy | undefined {
  const small = `${protocol.slice(0, -1)}_proxy`;
  const variable = [small, small.toUpperCase()].find((name) => (environment[name] ?? '') !== '');
  const value = variable === undefined ? undefined : environment[variable];
  if (variable === undefined || value === undefined) return undefined;
  const host = hostname.replace(/^\[|\]$/g, '').toLowerCase();
  const exceptions = environment['no_proxy'] || environment['NO_PROXY'] || '';
  if (isExcepted(host, `localhost,127.0.0.0/8,::1,${exceptions}`) || exceptions.trim() === '*')
    return undefined;
  return parseProxy(variable, value);
}

function parseProxy(variable: string, value: string): Proxy {
  const text = value.includes('://') ? value : `http://${value}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:') {
    const shown = quoteBriefly(value.replace(/[^/]*@/, ''));
    throw new CacheError(
      'config',
      `${variable}: unsupported proxy ${shown}; write http://HOST:PORT, or unset it`,
    );
  }
  const { hostname, port, host, username, password } = url;
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return {
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? 80 : Number(port),
    name: `http://${host}`,
    variable,
    authorization: username === '' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`,
  };
}

/** Whether a list such as `example.org, .other.org, 192.0.2.0/24` contains a host, its domain or its network. */
function isExcepted(host: string, list: string): boolean {
  const items = list
    .toLowerCase()
    .split(/[\s,]+/)
    .map((item) => item.replace(/^\[|\]$/g, ''));
  const version = isIP(host);
  if (version !== 0) return items.some((item) => covers(item, host, version));
  return items
    .map((item) => item.replace(/^\./, ''))
    .some((item) => item !== '' && (host === item || host.endsWith(`.${item}`)));
}

/** @param item an address, or a network as `192.0.2.0/24` */
function covers(item: string, address: string, version: number): boolean {
  const [network = '', bits = version === 4 ? '32' : '128'] = item.split('/');
  if (isIP(network) !== version || !/^\d{1,3}$/.test(bits) || Number(bits) > (version === 4 ? 32 : 128))
    return false;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  const list = new BlockList();
  list.addSubnet(network, Number(bits), family);
  return list.check(address, family);
}

/** Names the proxy at the end of a message: it may be the cause. */
export function throughProxy(proxy: Proxy | undefined): string {
  return proxy === undefined ? '' : ` (through the proxy ${proxy.name}, ${proxy.variable})`;
}

/** Explains status 407, at the end of a message. */
export function wantedByProxy({ name, variable, authorization }: Proxy): string {
  const what =
    authorization === undefined ? 'requires a user name and password' : 'refuses the user name or password';
  return `: the proxy ${name} (${variable}) ${what}; write them into ${variable}, as http://USER:PASSWORD@HOST:PORT`;
}
