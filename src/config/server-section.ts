import { z } from 'zod';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { type ListenAddress, parseListen } from './listen-address.ts';
import { addFault, attempt, textSchema } from './text-schema.ts';
import { isHost, parseCacheUrl, parseChoice, parseCount, parseList } from './value.ts';

/** `[server]` */
export interface ServerConfig {
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** What nodes are told to ask, without `/` at its end, where it isn't an address of `listen`. */
  readonly publicUrl: string | undefined;
  readonly tls: TlsConfig;
  /** For each address of `listen`. */
  readonly maxConnections: number;
}

/** Some 150 MiB when all of them read slowly. */
const MAX_CONNECTIONS = 1000;

/** Where the server's certificate comes from; paths are absolute. */
type TlsConfig =
  | { readonly mode: 'off' }
  /** Made by the server; `names` go into it beside the host's own names and addresses. */
  | { readonly mode: 'auto'; readonly names: readonly string[] }
  | { readonly mode: 'on'; readonly certificateFile: string; readonly keyFile: string };

/** @param path the schema of a path */
export function createServerSection(path: z.ZodType<string, string>) {
  return z.object({
    // Read with `tls`, which decides what an address without a scheme speaks.
    listen: z.string().default('[::]:5050'),
    'public-url': textSchema(parsePublicUrl).optional(),
    tls: textSchema((text) => parseChoice(text, ['off', 'auto', 'on'])).optional(),
    'tls-certificate': path.optional(),
    'tls-key': path.optional(),
    'tls-names': textSchema(parseTlsNames).optional(),
    'max-connections': textSchema(parseCount).default(MAX_CONNECTIONS),
  });
}

type ServerValues = z.output<ReturnType<typeof createServerSection>>;

/** Joins the keys of `[server]`; what doesn't go together becomes an issue. */
export function toServerConfig(values: ServerValues, context: z.RefinementCtx): ServerConfig {
  const tls = toTlsConfig(values, context);
  if (context.issues.length > 0) return z.NEVER;
  const listen = attempt(context, ['listen'], () => parseListen(values.listen, { tls: tls.mode !== 'off' }));
  if (context.issues.length > 0) return z.NEVER;
  if (tls.mode !== 'off' && listen.every(({ scheme }) => scheme === 'http')) {
    addFault(
      context,
      'listen',
      'no address speaks HTTPS although TLS is set up; write https://HOST:PORT besides, or set tls = off',
    );
  }
  return { listen, publicUrl: values['public-url'], tls, maxConnections: values['max-connections'] };
}

function toTlsConfig(values: ServerValues, context: z.RefinementCtx): TlsConfig {
  const certificateFile = values['tls-certificate'];
  const keyFile = values['tls-key'];
  const names = values['tls-names'];
  const mode = values.tls ?? (certificateFile === undefined ? 'off' : 'on');
  if (certificateFile === undefined && keyFile !== undefined) {
    return fail('tls-key', 'has no certificate; give tls-certificate = FILE too, or remove the line');
  }
  if (certificateFile !== undefined && keyFile === undefined) {
    return fail('tls-certificate', 'has no private key; give tls-key = FILE too');
  }
  if (names !== undefined && mode !== 'auto') {
    return fail(
      'tls-names',
      'goes only into a certificate made by the server; set tls = auto or remove the line',
    );
  }
  if (mode === 'off') return { mode };
  if (mode === 'auto') {
    if (certificateFile === undefined) return { mode, names: names ?? [] };
    return fail(
      'tls',
      'auto makes a certificate, but tls-certificate gives one; set tls = on or remove tls-certificate and tls-key',
    );
  }
  if (certificateFile !== undefined && keyFile !== undefined) return { mode, certificateFile, keyFile };
  return fail(
    'tls',
    'on needs a certificate; give tls-certificate = FILE and tls-key = FILE, or set tls = auto',
  );

  function fail(key: string, message: string): TlsConfig {
    addFault(context, key, message);
    return z.NEVER;
  }
}

function parsePublicUrl(text: string): string {
  const url = parseCacheUrl(text);
  if (new URL(url).username !== '') {
    throw new CacheError('usage', 'holds a user name, and is shown to everybody; write the URL without it');
  }
  return url;
}

function parseTlsNames(text: string): readonly string[] {
  const names = parseList(text).map((name) => name.replace(/^\[(.*)\]$/, '$1'));
  const wrong = names.find((name) => !isHost(name.replace(/^\*\./, '')));
  if (wrong === undefined) return names;
  throw new CacheError(
    'usage',
    `not a host name or address: ${quoteBriefly(wrong)}; write names as cache.example.org, without port`,
  );
}
