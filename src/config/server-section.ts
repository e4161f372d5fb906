import { z } from 'zod';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { type ListenAddress, parseListen } from './listen-address.ts';
import { addFault, attempt, textSchema } from './text-schema.ts';
import { isHost, parseBoolean, parseCacheUrl, parseChoice, parseCount, parseList } from './value.ts';

/** `[server]` */
export interface ServerConfig {
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** The URL for nodes, without a trailing `/`, if it isn't an address of `listen`. */
  readonly publicUrl: string | undefined;
  /** Host names whose root has the blobs, in lower case. */
  readonly cacheHosts: readonly string[];
  /** Host names whose root has the directory, in lower case; none of `cacheHosts`. */
  readonly dirHosts: readonly string[];
  readonly tls: TlsConfig;
  /** For each address of `listen`. */
  readonly maxConnections: number;
  /** Whether all clients may read the log of the store, if `[access]` has no users. */
  readonly publicLog: boolean;
  /** The internal location of an nginx in front that has the blobs, `/…/`. */
  readonly accelRedirect: string | undefined;
}

/** Some 150 MiB if all clients are slow. */
const MAX_CONNECTIONS = 1000;

/** The source of the server's certificate; paths are absolute. */
type TlsConfig =
  | { readonly mode: 'off' }
  /** Made by the server, for `names` and the host's own names and addresses. */
  | { readonly mode: 'auto'; readonly names: readonly string[] }
  | { readonly mode: 'on'; readonly certificateFile: string; readonly keyFile: string };

/** @param path the schema of a path */
export function createServerSection(path: z.ZodType<string, string>) {
  return z.object({
    // Parsed with `tls`, which decides the scheme of an address without one.
    listen: z.string().default('[::]:5050'),
    'public-url': textSchema(parsePublicUrl).optional(),
    'cache-host': textSchema(parseServiceHosts).default([]),
    'dir-host': textSchema(parseServiceHosts).default([]),
    tls: textSchema((text) => parseChoice(text, ['off', 'auto', 'on'])).optional(),
    'tls-certificate': path.optional(),
    'tls-key': path.optional(),
    'tls-names': textSchema(parseTlsNames).optional(),
    'max-connections': textSchema(parseCount).default(MAX_CONNECTIONS),
    'public-log': textSchema(parseBoolean).default(false),
    'accel-redirect': textSchema(parseLocation).optional(),
  });
}

type ServerValues = z.output<ReturnType<typeof createServerSection>>;

/** Joins the keys of `[server]`; reports conflicting keys as issues. */
export function toServerConfig(values: ServerValues, context: z.RefinementCtx): ServerConfig {
  const tls = toTlsConfig(values, context);
  if (context.issues.length > 0) return z.NEVER;
  const listen = attempt(context, ['listen'], () => parseListen(values.listen, { tls: tls.mode !== 'off' }));
  if (context.issues.length > 0) return z.NEVER;
  if (tls.mode !== 'off' && listen.every(({ scheme }) => scheme === 'http')) {
    addFault(
      context,
      'listen',
      'no address uses HTTPS although TLS is on; add https://HOST:PORT, or set tls = off',
    );
  }
  const { 'cache-host': cacheHosts, 'dir-host': dirHosts } = values;
  const common = dirHosts.find((host) => cacheHosts.includes(host));
  // A sha512 has the form of a key: the services need two names.
  if (common !== undefined) addFault(context, 'dir-host', `${common} is also in cache-host; use two names`);
  return {
    ...{ listen, publicUrl: values['public-url'], cacheHosts, dirHosts, tls },
    maxConnections: values['max-connections'],
    publicLog: values['public-log'],
    accelRedirect: values['accel-redirect'],
  };
}

function toTlsConfig(values: ServerValues, context: z.RefinementCtx): TlsConfig {
  const certificateFile = values['tls-certificate'];
  const keyFile = values['tls-key'];
  const names = values['tls-names'];
  const mode = values.tls ?? (certificateFile === undefined ? 'off' : 'on');
  if (certificateFile === undefined && keyFile !== undefined) {
    return fail('tls-key', 'has no certificate; also set tls-certificate = FILE, or remove the line');
  }
  if (certificateFile !== undefined && keyFile === undefined) {
    return fail('tls-certificate', 'has no private key; also set tls-key = FILE');
  }
  if (names !== undefined && mode !== 'auto') {
    return fail(
      'tls-names',
      'only applies to a certificate made by the server; set tls = auto or remove the line',
    );
  }
  if (mode === 'off') return { mode };
  if (mode === 'auto') {
    if (certificateFile === undefined) return { mode, names: names ?? [] };
    return fail(
      'tls',
      'auto conflicts with tls-certificate; set tls = on or remove tls-certificate and tls-key',
    );
  }
  if (certificateFile !== undefined && keyFile !== undefined) return { mode, certificateFile, keyFile };
  return fail(
    'tls',
    'on requires a certificate; set tls-certificate = FILE and tls-key = FILE, or tls = auto',
  );

  function fail(key: string, message: string): TlsConfig {
    addFault(context, key, message);
    return z.NEVER;
  }
}

function parsePublicUrl(text: string): string {
  const url = parseCacheUrl(text);
  if (new URL(url).username !== '') {
    throw new CacheError('usage', 'contains a user name, but is public; write the URL without it');
  }
  return url;
}

function parseLocation(text: string): string {
  if (/^\/(?:[\w.~-]+\/)+$/.test(text)) return text;
  throw new CacheError(
    'usage',
    `not a location: ${quoteBriefly(text)}; write it as in nginx, such as /internal/`,
  );
}

function parseTlsNames(text: string): readonly string[] {
  return parseNames(text, (name) => isHost(name.replace(/^\*\./, '')));
}

function parseServiceHosts(text: string): readonly string[] {
  return parseNames(text, isHost).map((name) => name.toLowerCase().replace(/\.$/, ''));
}

/** Host names and addresses; IPv6 addresses may be in brackets. */
function parseNames(text: string, isName: (name: string) => boolean): readonly string[] {
  const names = parseList(text).map((name) => name.replace(/^\[(.*)\]$/, '$1'));
  const wrong = names.find((name) => !isName(name));
  if (wrong === undefined) return names;
  throw new CacheError(
    'usage',
    `not a host name or address: ${quoteBriefly(wrong)}; write names as cache.example.org, without port`,
  );
}
