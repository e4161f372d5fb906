import { CacheError } from '../cache/errors.ts';
import type { Source, UploadTarget } from '../cache/source.ts';
import type { Config } from '../config/config.ts';
import { parseBaseUrl } from '../config/value.ts';
import { readServerAuthorities } from '../operations/server-authorities.ts';
import { readCaFile } from '../operations/tls-certificate.ts';
import { IMPATIENT, type Patience } from '../upstream/attempts.ts';
import { createUpstream, readTextAt, type UpstreamUrls } from '../upstream/client.ts';
import type { LookupOptions } from './commands/lookup.ts';
import { parseOption } from './parse-option.ts';
import type { Terminal } from './terminal/terminal.ts';
import { isUrl, parseUrlOption } from './url-option.ts';

export interface ServerOptions {
  /** The value of `--ca`: a PEM file. */
  readonly ca?: string | undefined;
  readonly patience?: Patience;
}

/** Names the cache of `[upstream]` wherever a cache is named by its URL. */
const UPSTREAM = 'upstream';

/** A cache as options or arguments name it. */
export interface ServerName {
  /** What gives `url`, for messages. */
  readonly option: string;
  /** A URL, or `upstream`. */
  readonly url: string;
  /** The option of `directory`. */
  readonly directoryOption: string;
  /** The URL of the directory. Then `url` is that of the blobs; without it, both are at `/bcache` and `/bdir` below `url`. */
  readonly directory: string | undefined;
}

/** Whether a text names a running cache, not a folder. */
export function isServer(text: string): boolean {
  return isUrl(text) || text === UPSTREAM;
}

/** @throws CacheError `usage`, `config` */
export function urlsOfServer(
  { option, url, directoryOption, directory }: ServerName,
  config: Config,
): UpstreamUrls {
  if (url === UPSTREAM) {
    if (directory === undefined) return urlsOfUpstream(config);
    throw new CacheError('usage', `${directoryOption}: [upstream] has both URLs; omit the option`);
  }
  if (directory === undefined) {
    const base = parseUrlOption(option, url);
    return { directory: `${base}/bdir`, blobs: `${base}/bcache` };
  }
  return {
    directory: parseOption(directoryOption, () => parseBaseUrl(directory)),
    blobs: parseOption(option, () => parseBaseUrl(url)),
  };
}

/**
 * The URLs that `--server` and `--server-dir` give; undefined without them.
 * @throws CacheError `usage`, `config`
 */
export function urlsOfOptions(
  { server: url, serverDir: directory }: Pick<LookupOptions, 'server' | 'serverDir'>,
  config: Config,
): UpstreamUrls | undefined {
  if (url !== undefined)
    return urlsOfServer({ option: '--server', url, directoryOption: '--server-dir', directory }, config);
  if (directory !== undefined)
    throw new CacheError('usage', '--server-dir: the URL of the blobs is missing; also give --server URL');
  return undefined;
}

/** @throws CacheError `config` if there is no `[upstream]` */
export function urlsOfUpstream({ file, upstream }: Config): UpstreamUrls {
  if (upstream !== undefined) return { directory: upstream.dirUrl, blobs: upstream.cacheUrl };
  throw new CacheError(
    'config',
    `${file ?? 'configuration'}: there is no [upstream] to fetch from; name a cache with --server, or add an upstream, for example of Nexedi:\n${UPSTREAM_EXAMPLE}`,
  );
}

const UPSTREAM_EXAMPLE = `
[upstream]
download-binary-cache-url = http://shacache.nxdcdn.com
download-binary-dir-url = http://shadir.nxdcdn.com
signature-certificate-list =
  (copy signature-certificate-list of /etc/opt/slapos/slapos.cfg)`;

/**
 * A running cache.
 * @throws CacheError `config`
 */
export async function openServer(
  urls: UpstreamUrls,
  config: Config,
  { ca, ...options }: ServerOptions = {},
): Promise<UploadTarget> {
  const needsCa = Object.values(urls).some(isTls);
  return createUpstream(urls, {
    ...{ ...options, environment: process.env },
    ...(needsCa ? { ca: await readServerAuthorities(config, ca) } : {}),
  });
}

/** A small text at a URL. @throws CacheError `config`, `unavailable`, `not-found` */
export async function readFromServer(
  url: string,
  config: Config,
  { ca, patience = IMPATIENT }: ServerOptions = {},
): Promise<string> {
  return readTextAt(url, {
    ...{ patience, environment: process.env },
    ...(isTls(url) ? { ca: await readServerAuthorities(config, ca) } : {}),
  });
}

/**
 * Warns of a source that may not be a cache, after it had nothing of all that was requested.
 * @throws CacheError `unavailable`
 */
export async function warnOfDoubts({ doubts }: Pick<Source, 'doubts'>, terminal: Terminal): Promise<void> {
  for (const doubt of (await doubts?.()) ?? [])
    terminal.warn(`cache: ${doubt}; correct the URL, or give the URLs of blobs and directory`);
}

/**
 * Looks at `--ca` before anything is done: one that is given may be mistyped, also where nobody asks for it.
 * @param servers that are asked; a folder is none
 * @throws CacheError `config`
 */
export async function checkCa(
  ca: string | undefined,
  servers: readonly (UpstreamUrls | undefined)[],
  terminal: Terminal,
): Promise<void> {
  if (ca === undefined) return;
  await readCaFile(ca, '--ca');
  if (!servers.some((urls) => Object.values(urls ?? {}).some(isTls)))
    terminal.tell('note: --ca is not used: nothing is asked over https://');
}

function isTls(url: string): boolean {
  return /^https:/i.test(url);
}
