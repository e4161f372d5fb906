import type { Site } from './site.ts';
import { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import { parseChain } from './certificate-state.ts';
import { readIfThere } from './files.ts';
import { listReleases } from './list-releases.ts';
import { isSelfSigned, tlsFilesOf } from './tls-certificate.ts';

/** Content of the `[networkcache]` section in a node's slapos.cfg. */
export interface NetworkcacheSection {
  /** `http://HOST:PORT` of the cache. */
  readonly url: string;
  /** PEM certificates that the node will trust. */
  readonly certificates: readonly string[];
  /** Releases that the node must never compile; default: none. */
  readonly forceUrls?: readonly string[];
  /** Certificate file on the node, for a cache that serves TLS. */
  readonly caFile?: string;
}

/**
 * The section as text, ready for `>> slapos.cfg` (protocol.md, "Two services"). Indents the lines of a value for
 * Python's ConfigParser.
 */
export function formatNetworkcacheSection({
  url,
  certificates,
  forceUrls,
  caFile,
}: NetworkcacheSection): string {
  const lines = [
    '[networkcache]',
    `download-binary-cache-url = ${url}/bcache`,
    `download-binary-dir-url = ${url}/bdir`,
    ...(caFile === undefined ? [] : [`shacache-ca-file = ${caFile}`, `shadir-ca-file = ${caFile}`]),
    ...list('download-from-binary-cache-force-url-list', forceUrls ?? []),
    ...list(
      'signature-certificate-list',
      certificates.flatMap((pem) => pem.trim().split(/\r?\n/)),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function list(key: string, values: readonly string[]): readonly string[] {
  return values.length === 0 ? [] : [`${key} =`, ...values.map((value) => `  ${value}`)];
}

export interface SectionOptions {
  /** Whether to list the store's releases as never to be compiled. */
  readonly forceBinary?: boolean;
}

/**
 * The section for nodes that reach the site's cache at `base`.
 * @throws CacheError `config`: there is no certificate to trust, so nodes would compile everything
 */
export async function networkcacheSection(
  site: Site,
  base: string,
  { forceBinary = false }: SectionOptions = {},
): Promise<string> {
  const { certificates } = await site.trusted();
  if (certificates.length === 0) throw new CacheError('config', lackOfCertificates(site.config));
  const caFile = base.startsWith('https:') ? await caFileOf(site) : undefined;
  return formatNetworkcacheSection({
    url: base,
    ...(caFile === undefined ? {} : { caFile }),
    certificates: certificates.map((certificate) => certificate.toString()),
    ...(forceBinary ? { forceUrls: await servedUrls(site) } : {}),
  }).trimEnd();
}

function lackOfCertificates({ file, signature }: Config): string {
  const lists = file === undefined ? 'and there is no config.ini here' : `and ${file} lists none`;
  return [
    `there is no certificate that nodes could trust: ${signature.certificateFile} is missing, ${lists}`,
    'Is it the right configuration (-c FILE)? Where others sign what is served, their certificates belong into its [signature] signature-certificate-list; to sign here, make a pair with: cache keygen',
  ].join('\n');
}

/** The file that lets a node trust this server; a certificate from another issuer isn't enough. */
async function caFileOf({ config, messages }: Site): Promise<string | undefined> {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined; // A proxy in front of this server serves TLS.
  const certificate = await readIfThere(files.certificateFile);
  const [own] = certificate === undefined ? [] : parseChain(certificate, files.certificateFile);
  const isOwnCa = config.server.tls.mode === 'auto' || (own !== undefined && isSelfSigned(own));
  if (isOwnCa) {
    messages.tell(`cache: copy ${files.certificateFile} to the same place on each node`);
    return files.certificateFile;
  }
  messages.tell(
    'cache: if the nodes do not know the CA of the TLS certificate, add shacache-ca-file and shadir-ca-file with its file to the section',
  );
  return undefined;
}

async function servedUrls(site: Site): Promise<readonly string[]> {
  const { directory, blobs } = await site.store('read');
  return (await listReleases(directory, blobs)).map(({ softwareUrl }) => softwareUrl);
}
