import { CacheError } from '../../cache/errors.ts';
import { createTrustedCertificates } from '../../cache/signature.ts';
import type { SectionValues } from '../../config/replace-section.ts';
import { parseChain } from '../../operations/certificate-state.ts';
import { readIfThere } from '../../operations/files.ts';
import {
  CERTIFICATE_LIST,
  editSlaposCfg,
  formatNetworkcacheSection,
  networkcacheSection,
  parseSection,
  readSection,
} from '../../operations/slapos-cfg.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import { tlsFilesOf } from '../../operations/site-paths.ts';
import { bestUrl, urlsOf } from '../../server/addresses.ts';
import { warnOfFaults } from '../../server/certificates.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import type { SlaposCfgOptions } from '../commands/slapos-cfg.ts';
import { printJson } from '../json-output.ts';
import { readFromServer } from '../servers.ts';
import { openSite, type CommandSite } from '../site.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';
import { formatDiff } from '../terminal/diff.ts';
import { parseUrlOption, withoutPasswords } from '../url-option.ts';

export async function slaposCfg(options: SlaposCfgOptions): Promise<void> {
  const { into, from, json = false, quiet = false, dryRun = false } = options;
  checkCombination(options);
  const terminal = createTerminal({ quiet });
  if (options.server !== undefined) {
    await showServed(options.server, options, await openSite(options));
    return;
  }
  // A node has no site.
  const section =
    from === undefined ? await sectionOfSite(await openSite(options), options) : await readSection(from);
  tellFiles(section, terminal);
  if (into === undefined) {
    terminal.tell(
      'cache: slapos.cfg may contain only one [networkcache] section; to replace it: cache slapos-cfg --into FILE',
    );
    if (json) printSection(formatNetworkcacheSection(section), section, terminal);
    // The file that this is appended to may lack its last newline.
    else terminal.print(`\n${formatNetworkcacheSection(section).trimEnd()}`);
    return;
  }
  const { lines, isChanged, backup } = await editSlaposCfg(into, section, {
    dryRun,
    warn: (text) => {
      terminal.warn(text);
    },
  });
  if (!isChanged) terminal.tell(`cache: ${into} has this section already; nothing to change`);
  else if (backup === undefined) terminal.print(withoutPasswords(formatDiff(lines, into, into)).trimEnd());
  else
    terminal.tell(
      `cache: replaced the [networkcache] section of ${into}; previous file: ${backup}. The next "slapos node software" reads it`,
    );
}

function printSection(text: string, { values }: SectionValues, terminal: Terminal): void {
  const url = (values.get('download-binary-cache-url') ?? '').replace(/\/bcache$/, '').replaceAll('%%', '%');
  printJson('slapos-cfg', { url, section: text }, terminal);
}

function checkCombination({
  into,
  from,
  server,
  json,
  print,
  dryRun,
  url,
  forceBinary,
  upload,
}: SlaposCfgOptions): void {
  if (into !== undefined && print === true)
    throw new CacheError('usage', '--into and --print exclude each other; leave out one of them');
  if (into !== undefined && json === true)
    throw new CacheError('usage', '--into prints no result; leave out --json');
  if (into === undefined && dryRun === true)
    throw new CacheError('usage', '--dry-run needs --into FILE; without it nothing is written');
  if (server !== undefined && into !== undefined)
    throw new CacheError(
      'usage',
      '--server and --into exclude each other: save the section, compare the fingerprints, then: cache slapos-cfg --from FILE --into SLAPOS_CFG',
    );
  const origin = server === undefined ? '--from' : '--server';
  if (server === undefined && from === undefined) return;
  const others = {
    ...(server === undefined ? {} : { '--from': from }),
    ...{ '--url': url, '--force-binary': forceBinary, '--upload': upload },
  };
  for (const [option, value] of Object.entries(others))
    if (value !== undefined && value !== false)
      throw new CacheError('usage', `${origin} and ${option} exclude each other; leave out one of them`);
}

/** Whoever answers at the URL may have put in a certificate of their own: a person compares before it is used. */
async function showServed(
  server: string,
  { ca, json = false }: SlaposCfgOptions,
  site: CommandSite,
): Promise<void> {
  const { config, terminal } = site;
  const url = `${parseUrlOption('--server', server)}/slapos.cfg`;
  const text = await readFromServer(url, config, { ca, patience: IMPATIENT });
  const section = parseSection(text, withoutPasswords(url));
  const { values } = section;
  if (json) printSection(text, section, terminal);
  else terminal.print(text.trimEnd());
  for (const certificate of createTrustedCertificates([
    { pem: values.get(CERTIFICATE_LIST) ?? '', where: withoutPasswords(url) },
  ]).certificates)
    terminal.tell(`cache: its nodes trust ${describeCertificate(certificate)}`);
  terminal.tell(
    'cache: compare each fingerprint with that of the machine that signs, before a node uses the section: openssl x509 -in sign.crt -noout -fingerprint -sha256',
  );
}

async function sectionOfSite(
  site: CommandSite,
  { url, upload, forceBinary = false }: SlaposCfgOptions,
): Promise<SectionValues> {
  const { config, terminal } = site;
  const base =
    (url === undefined ? undefined : parseUrlOption('--url', url)) ??
    config.server.publicUrl ??
    bestUrl(config.server.listen.flatMap(urlsOf)) ??
    '';
  const section = await networkcacheSection(site, base, {
    forceBinary,
    upload: upload === undefined ? undefined : parseUrlOption('--upload', upload),
  });
  if (url === undefined && config.server.publicUrl === undefined) {
    terminal.tell(
      `cache: nodes are told ${base}, an address of this machine; give another with --url or [server] public-url`,
    );
  }
  const files = tlsFilesOf(config);
  const certificate = files && (await readIfThere(files.certificateFile));
  if (files && certificate) {
    const chain = parseChain(certificate, files.certificateFile);
    // Nodes meet no CA of clients.
    warnOfFaults(files, { chain, clientAuthorities: [] }, terminal);
  }
  return section;
}

/** slapos stops if a file that the section names is missing. */
function tellFiles({ defaults }: SectionValues, terminal: Terminal): void {
  const files = [...new Set(defaults.values())].filter((file) => file !== '');
  if (files.length > 0)
    terminal.tell(`cache: each node needs these files first, or slapos stops there: ${files.join(', ')}`);
}
