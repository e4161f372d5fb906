import { warnOfFault } from '../../operations/certificate-state.ts';
import { readIfThere } from '../../operations/files.ts';
import { networkcacheSection } from '../../operations/slapos-cfg.ts';
import { tlsFilesOf } from '../../operations/tls-certificate.ts';
import { bestUrl, urlsOf } from '../../server/addresses.ts';
import type { SlaposCfgOptions } from '../commands/slapos-cfg.ts';
import { printJson } from '../json-output.ts';
import { openSite } from '../site.ts';
import { parseUrlOption } from '../url-option.ts';

export async function slaposCfg(options: SlaposCfgOptions): Promise<void> {
  const { url, forceBinary = false, json } = options;
  const site = await openSite(options);
  const { config, terminal } = site;
  const base =
    (url === undefined ? undefined : parseUrlOption('--url', url)) ??
    config.server.publicUrl ??
    bestUrl(config.server.listen.flatMap(urlsOf)) ??
    '';
  const section = await networkcacheSection(site, base, { forceBinary });
  if (url === undefined && config.server.publicUrl === undefined) {
    terminal.tell(
      `cache: nodes are told ${base}, an address of this machine; give another with --url or [server] public-url`,
    );
  }
  const certificateFile = tlsFilesOf(config)?.certificateFile;
  const certificate = certificateFile && (await readIfThere(certificateFile));
  if (certificateFile && certificate) warnOfFault(certificateFile, certificate, terminal);
  terminal.tell(
    'cache: replace any existing [networkcache] section with this; slapos.cfg may contain only one',
  );
  // The file that this is appended to may lack its last newline.
  if (json) printJson('slapos-cfg', { url: base, section }, terminal);
  else terminal.print(`\n${section}`);
}
