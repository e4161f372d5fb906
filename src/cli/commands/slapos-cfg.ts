import { CacheError } from '../../cache/errors.ts';
import type { Config } from '../../config/config.ts';
import { listReleases } from '../../operations/list-releases.ts';
import { formatNetworkcacheSection } from '../../operations/slapos-cfg.ts';
import { readIfThere } from '../../operations/files.ts';
import { parseChain } from '../../operations/certificate-state.ts';
import { isSelfSigned } from '../../operations/tls-certificate.ts';
import { bestUrl, urlsOf } from '../addresses.ts';
import type { CommonOptions } from '../common-options.ts';
import { openStore, readConfig, readTrusted } from '../site.ts';
import { parseUrlOption } from '../url-option.ts';
import { reportTo, tlsFilesOf, warnOfFault } from '../tls.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface SlaposCfgOptions extends CommonOptions {
  readonly url?: string;
  readonly forceBinary?: boolean;
}

export async function slaposCfg({
  config: file,
  url,
  forceBinary = false,
  quiet = false,
}: SlaposCfgOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const config = await readConfig(file);
  const base =
    (url === undefined ? undefined : parseUrlOption('--url', url)) ??
    config.server.publicUrl ??
    bestUrl(config.server.listen.flatMap(urlsOf)) ??
    '';
  if ((await readTrusted(config)).certificates.length === 0)
    // What is printed is appended to slapos.cfg: a node that trusts nobody would compile everything.
    throw new CacheError('config', lackOfCertificates(config));
  if (url === undefined && config.server.publicUrl === undefined) {
    terminal.tell(
      `cache: nodes are told ${base}, an address of this machine; give another with --url or [server] public-url`,
    );
  }
  const certificateFile = tlsFilesOf(config)?.certificateFile;
  const certificate = certificateFile && (await readIfThere(certificateFile));
  if (certificateFile && certificate) warnOfFault(certificateFile, certificate, reportTo(terminal));
  terminal.tell(
    'cache: put it in place of a [networkcache] section that is there: two of them cannot be read',
  );
  // The file that this is appended to may lack its last newline.
  terminal.print(`\n${await networkcacheSection(config, base, terminal, { forceBinary })}`);
}

/** The section for nodes that reach this cache at `base`. */
export async function networkcacheSection(
  config: Config,
  base: string,
  terminal: Terminal,
  { forceBinary = false }: { readonly forceBinary?: boolean } = {},
): Promise<string> {
  const { certificates } = await readTrusted(config);
  if (certificates.length === 0) {
    terminal.warn(`cache: ${lackOfCertificates(config)}`);
  }
  const caFile = base.startsWith('https:') ? await caFileOf(config, terminal) : undefined;
  return formatNetworkcacheSection({
    url: base,
    ...(caFile === undefined ? {} : { caFile }),
    certificates: certificates.map((certificate) => certificate.toString()),
    ...(forceBinary ? { forceUrls: await servedUrls(config, terminal) } : {}),
  }).trimEnd();
}

function lackOfCertificates({ file, signature }: Config): string {
  const lists = file === undefined ? 'and there is no config.ini here' : `and ${file} lists none`;
  return [
    `there is no certificate that nodes could trust: ${signature.certificateFile} is missing, ${lists}`,
    'Is it the right configuration (-c FILE)? Where others sign what is served, their certificates belong into its [signature] signature-certificate-list; to sign here, make a pair with: cache keygen',
  ].join('\n');
}

/** The file that lets a node trust this server; a certificate that somebody else signed isn't enough for that. */
async function caFileOf(config: Config, terminal: Terminal): Promise<string | undefined> {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined; // TLS is spoken by something in front of this server.
  const certificate = await readIfThere(files.certificateFile);
  const [own] = certificate === undefined ? [] : parseChain(certificate, files.certificateFile);
  const isOwnCa = config.server.tls.mode === 'auto' || (own !== undefined && isSelfSigned(own));
  if (isOwnCa) {
    terminal.tell(`cache: copy ${files.certificateFile} to the same place on each node`);
    return files.certificateFile;
  }
  terminal.tell(
    'cache: if the nodes do not know the CA of the TLS certificate, add shacache-ca-file and shadir-ca-file with its file to the section',
  );
  return undefined;
}

async function servedUrls(config: Config, terminal: Terminal): Promise<readonly string[]> {
  const { directory, blobs } = await openStore(config, terminal, { write: false });
  return (await listReleases(directory, blobs)).map(({ softwareUrl }) => softwareUrl);
}
