import type { Site } from './site.ts';
import { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import { readConfigText } from '../config/config-file.ts';
import { outlineIni } from '../config/ini.ts';
import { escapePercent, parsePythonConfig } from '../config/python-config.ts';
import { replaceSection, type EditedLine, type SectionValues } from '../config/replace-section.ts';
import { parseChain } from './certificate-state.ts';
import { backUp, keepDurable, readIfThere, replaceFile } from './files.ts';
import { listReleases } from './list-releases.ts';
import { tlsFilesOf } from './site-paths.ts';
import { isSelfSigned } from './tls-certificate.ts';

/** The section of slapos.cfg about caches. */
export const NETWORKCACHE = 'networkcache';
/** Its list of the certificates that a node trusts. */
export const CERTIFICATE_LIST = 'signature-certificate-list';
/** Its list of URLs that a node never compiles. */
export const FORCE_LIST = 'download-from-binary-cache-force-url-list';

/** Content of the `[networkcache]` section in a node's slapos.cfg. */
export interface NetworkcacheSection {
  /** `http://HOST:PORT` of the cache. */
  readonly url: string;
  /** PEM certificates that the node will trust. */
  readonly certificates: readonly string[];
  /** Releases that the node must never compile; default: none. */
  readonly forceUrls?: readonly string[];
  /** What the node uploads to; default: nothing. */
  readonly upload?: UploadKeys;
}

export interface UploadKeys {
  /** URL of the cache; may contain a user name and password. */
  readonly url: string;
  /** Certificate file on the node that verifies the cache, if it serves TLS. */
  readonly caFile?: string | undefined;
  /** Whether the node has a TLS client certificate. */
  readonly hasClientCertificate: boolean;
}

/** Files of a node, as the slapos.cfg that SlapOS ships names them. */
const NODE_FILES = '/etc/opt/slapos/shacache';

/**
 * The keys of the section (protocol.md, "Two services"). `networkcache-download` and `slapos cachelookup` need the URLs for
 * sources, too.
 */
export function networkcacheValues({
  url,
  certificates,
  forceUrls = [],
  upload,
}: NetworkcacheSection): SectionValues {
  const urls = (verb: string, kinds: readonly string[], base: string): readonly [string, string][] =>
    kinds.flatMap((kind) => [
      [`${verb}${kind}-cache-url`, escapePercent(`${base}/bcache`)],
      [`${verb}${kind}-dir-url`, escapePercent(`${base}/bdir`)],
    ]);
  const values = [
    ...urls('download', ['-binary', ''], url),
    ...(upload === undefined ? [] : urls('upload', ['-binary'], upload.url)),
    ...list(FORCE_LIST, forceUrls),
    ...list(
      CERTIFICATE_LIST,
      certificates.flatMap((pem) => pem.trim().split(/\r?\n/)),
    ),
  ];
  const isTls = [url, upload?.url].some((one) => one?.startsWith('https:'));
  const files = [
    ...(upload === undefined ? [] : [['signature-private-key-file', `${NODE_FILES}/signature.key`] as const]),
    ...(isTls ? ['shacache', 'shadir'].flatMap((service) => tlsKeys(service, upload)) : []),
  ];
  return { values: new Map(values), defaults: new Map(files) };
}

function list(key: string, values: readonly string[]): readonly [string, string][] {
  return values.length === 0 ? [] : [[key, ['', ...values.map(escapePercent)].join('\n')]];
}

/** Over TLS, `networkcache-download` has no default for the client's certificate and key: without the lines it fails. */
function tlsKeys(service: string, upload: UploadKeys | undefined): readonly [string, string][] {
  const { caFile, hasClientCertificate = false } = upload ?? {};
  const fileOf = (kind: string): string => (hasClientCertificate ? `${NODE_FILES}/${service}.${kind}` : '');
  return [
    ...(caFile === undefined ? [] : [[`${service}-ca-file`, escapePercent(caFile)] as [string, string]]),
    [`${service}-cert-file`, fileOf('cert')],
    [`${service}-key-file`, fileOf('key')],
  ];
}

/** The section as text. Indents the lines of a value for Python's ConfigParser. */
export function formatNetworkcacheSection(section: SectionValues): string {
  return replaceSection('', NETWORKCACHE, NETWORKCACHE, section).text;
}

export interface SectionOptions {
  /** Whether to list the store's releases as never to be compiled. */
  readonly forceBinary?: boolean;
  /** URL of the cache for uploads; default: none. */
  readonly upload?: string | undefined;
}

/**
 * The section for nodes that reach the site's cache at `base`.
 * @throws CacheError `config`: there is no certificate to trust, so nodes would compile everything
 */
export async function networkcacheSection(
  site: Site,
  base: string,
  { forceBinary = false, upload }: SectionOptions = {},
): Promise<SectionValues> {
  const { certificates } = await site.trusted();
  if (certificates.length === 0) throw new CacheError('config', lackOfCertificates(site.config));
  if (base.startsWith('https:')) site.messages.warn(await tlsNote(site));
  return networkcacheValues({
    url: base,
    certificates: certificates.map((certificate) => certificate.toString()),
    ...(forceBinary ? { forceUrls: await servedUrls(site) } : {}),
    ...(upload === undefined ? {} : { upload: await uploadKeys(upload, site) }),
  });
}

function lackOfCertificates({ file, signature }: Config): string {
  const lists = file === undefined ? 'and there is no config.ini here' : `and ${file} lists none`;
  return [
    `there is no certificate that nodes could trust: ${signature.certificateFile} is missing, ${lists}`,
    'Is it the right configuration (-c FILE)? Where others sign what is served, their certificates belong into its [signature] signature-certificate-list; to sign here, make a pair with: cache keygen',
  ].join('\n');
}

/** Nodes ignore `shacache-ca-file` when they download (protocol.md, "Requests as they really arrive"). */
async function tlsNote(site: Site): Promise<string> {
  const file = await ownCaFile(site);
  const trust =
    file === undefined
      ? 'If its CA is not one that they know, copy its certificate to each node'
      : `Copy ${file} to each node`;
  return [
    'cache: nodes download over https:// only if their Python trusts the TLS certificate; they ignore shacache-ca-file there, and compile.',
    `${trust} and set SSL_CERT_FILE to it where slapos runs (its cron job or service), or add it to the CA folder of the system if slapos uses the OpenSSL of the system.`,
    'Or let them download over http://: signature and sha512 protect releases.',
  ].join('\n');
}

async function uploadKeys(url: string, site: Site): Promise<UploadKeys> {
  const isTls = url.startsWith('https:');
  const caFile = isTls ? await ownCaFile(site) : undefined;
  const hasClientCertificate = isTls && site.config.access.clientCaFile !== undefined;
  return { url, caFile, hasClientCertificate };
}

/** The server's certificate if it is its own CA; undefined if another issuer or a proxy in front of it serves TLS. */
async function ownCaFile({ config }: Site): Promise<string | undefined> {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined;
  if (config.server.tls.mode === 'auto') return files.certificateFile;
  const certificate = await readIfThere(files.certificateFile);
  const [own] = certificate === undefined ? [] : parseChain(certificate, files.certificateFile);
  return own !== undefined && isSelfSigned(own) ? files.certificateFile : undefined;
}

async function servedUrls(site: Site): Promise<readonly string[]> {
  const { directory, blobs } = await site.store('read');
  return (await listReleases(directory, blobs)).map(({ softwareUrl }) => softwareUrl);
}

/**
 * A section that `cache slapos-cfg` printed on another machine.
 * @throws CacheError `config`: the file has none, or no certificate to trust
 */
export async function readSection(file: string): Promise<SectionValues> {
  return parseSection(await readConfigText(file), file);
}

/**
 * The `[networkcache]` section in a text.
 * @param file where it comes from, for messages
 * @throws CacheError `config`: it has none, or no certificate to trust
 */
export function parseSection(text: string, file: string): SectionValues {
  parsePythonConfig(text, file).section(NETWORKCACHE);
  const keys = outlineIni(text, file).find(({ name }) => name === NETWORKCACHE)?.keys ?? [];
  const values = new Map(keys.map(({ name, value }) => [name.toLowerCase(), value]));
  for (const key of ['download-binary-cache-url', 'download-binary-dir-url', CERTIFICATE_LIST])
    if ((values.get(key) ?? '') === '')
      throw new CacheError(
        'config',
        `${file}: no ${key} in [${NETWORKCACHE}]; make the file with: cache slapos-cfg > FILE`,
      );
  const isDefault = (key: string): boolean => key.endsWith('-file');
  return {
    values: new Map([...values].filter(([key]) => !isDefault(key))),
    defaults: new Map([...values].filter(([key]) => isDefault(key))),
  };
}

/** What `editSlaposCfg` changed. */
export interface SlaposCfgEdit {
  readonly lines: readonly EditedLine[];
  readonly isChanged: boolean;
  /** The copy of the file before; undefined if nothing was written. */
  readonly backup: string | undefined;
}

/**
 * Replaces the `[networkcache]` section of a slapos.cfg, whole or not at all. Keeps owner and mode of the file, and follows a
 * link.
 * @throws CacheError `config`: the file is missing, or Python can't read it; `storage`, `no-space`
 */
export async function editSlaposCfg(
  file: string,
  section: SectionValues,
  { dryRun, warn }: { readonly dryRun: boolean; readonly warn: (text: string) => void },
): Promise<SlaposCfgEdit> {
  const before = await readConfigText(file);
  const { text, lines, merged } = replaceSection(before, file, NETWORKCACHE, section);
  for (const line of merged)
    warn(
      `cache: ${file}:${line}: section [${NETWORKCACHE}] is repeated, which stops slapos; its keys ${dryRun ? 'would be' : 'are'} merged into the first`,
    );
  const config = parsePythonConfig(text, file);
  for (const name of ['slapos', NETWORKCACHE]) config.section(name);
  const isChanged = text !== before;
  if (!isChanged && !dryRun) await keepDurable(file);
  if (!isChanged || dryRun) return { lines, isChanged, backup: undefined };
  const backup = await backUp(file);
  await replaceFile(file, text);
  return { lines, isChanged, backup };
}
