import { CacheError } from '../cache/errors.ts';
import type { UploadTarget } from '../cache/source.ts';
import type { Config } from '../config/config.ts';
import { readIfThere } from '../operations/files.ts';
import { readKnownAuthorities } from '../operations/known-authorities.ts';
import { readCaFile, tlsFilesOf } from '../operations/tls-certificate.ts';
import type { Patience } from '../upstream/attempts.ts';
import { createUpstream } from '../upstream/client.ts';
import type { Terminal } from './terminal/terminal.ts';
import { parseUrlOption } from './url-option.ts';

export interface ServerOptions {
  /** The value of `--ca`: a PEM file. */
  readonly ca?: string | undefined;
  readonly patience?: Patience;
}

/**
 * A cache like this one, or any that has its blobs at `/bcache` and its directory at `/bdir`.
 * @param option that gave the URL, for messages
 * @throws CacheError `usage`, `config`
 */
export async function openServer(
  option: string,
  base: string,
  config: Config,
  options: ServerOptions = {},
): Promise<UploadTarget> {
  const url = parseUrlOption(option, base);
  return openUrls({ directory: `${url}/bdir`, blobs: `${url}/bcache` }, config, options);
}

/** The cache that `[upstream]` tells. @throws CacheError `config` when it tells none */
export async function openUpstream(config: Config, options: ServerOptions = {}): Promise<UploadTarget> {
  if (config.upstream === undefined) {
    throw new CacheError(
      'config',
      `${config.file ?? 'configuration'}: there is no [upstream] to fetch from; add one, here that of Nexedi, or name a cache with --server:\n${UPSTREAM_EXAMPLE}`,
    );
  }
  const { cacheUrl, dirUrl } = config.upstream;
  return openUrls({ directory: dirUrl, blobs: cacheUrl }, config, options);
}

const UPSTREAM_EXAMPLE = `
[upstream]
download-binary-cache-url = http://shacache.nxdcdn.com
download-binary-dir-url = http://shadir.nxdcdn.com
signature-certificate-list =
  (the certificates that stand there in the slapos.cfg that SlapOS ships)`;

/**
 * Looks at `--ca` before anything is done: one that is given may be mistyped, also where nobody asks for it.
 * @param places what is asked: URLs, and folders, which need none
 * @throws CacheError `config`
 */
export async function checkCa(
  ca: string | undefined,
  places: readonly (string | undefined)[],
  terminal: Terminal,
): Promise<void> {
  if (ca === undefined) return;
  await readCaFile(ca, '--ca');
  if (!places.some(isTls)) terminal.tell('note: --ca is not used: nothing is asked over https://');
}

function isTls(place: string | undefined): boolean {
  return /^https:/i.test(place ?? '');
}

/** A cache with its two URLs. @throws CacheError `config` */
export async function openUrls(
  urls: { readonly directory: string; readonly blobs: string },
  config: Config,
  { ca, ...options }: ServerOptions,
): Promise<UploadTarget> {
  const needsCa = Object.values(urls).some(isTls);
  return createUpstream(urls, {
    ...{ ...options, environment: process.env },
    ...(needsCa ? { ca: await readCas(config, ca) } : {}),
  });
}

/** Certificates that count: those that the machine knows, those that are given, and that of the site's own server. */
async function readCas(config: Config, option: string | undefined): Promise<readonly string[]> {
  const { upstream } = config;
  const own = tlsFilesOf(config)?.certificateFile;
  const pems = [
    option === undefined ? undefined : await readCaFile(option, '--ca'),
    upstream?.caFile === undefined ? undefined : await readCaFile(upstream.caFile, '[upstream] ca-file'),
    own === undefined ? undefined : await readIfThere(own),
  ];
  const known = await readKnownAuthorities(process.env);
  return [...known, ...pems.filter((pem) => pem !== undefined)];
}
