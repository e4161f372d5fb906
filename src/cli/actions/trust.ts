import { stat } from 'node:fs/promises';
import { X509Certificate } from 'node:crypto';
import { CacheError } from '../../cache/errors.ts';
import { signerNameOf } from '../../cache/signature.ts';
import type { Config } from '../../config/config.ts';
import { commandOf } from '../../operations/command-line.ts';
import { readCertificateFiles } from '../../operations/certificate-files.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import {
  distrustCertificates,
  listTrusted,
  trustCertificates,
  type TrustedCertificate,
} from '../../operations/trust-certificates.ts';
import type { TrustChangeOptions, TrustListOptions } from '../commands/trust.ts';
import { printJson } from '../json-output.ts';
import { readConfig } from '../site.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export async function listTrust({ config: option, json, quiet = false }: TrustListOptions): Promise<void> {
  const config = await readConfig(option);
  const terminal = createTerminal({ quiet });
  const trusted = await listTrusted(config);
  if (json) {
    const shown = trusted.map(({ certificate, from }) => ({ ...signerNameOf(certificate), from }));
    printJson('trust list', shown, terminal);
    return;
  }
  for (const { certificate, from } of trusted) {
    const { name, fingerprint } = signerNameOf(certificate);
    terminal.say(`${fingerprint}\n  ${name}, ${placeOf(from, config)}`);
  }
  if (trusted.length === 0)
    terminal.tell(
      `no certificate is trusted: nothing can be imported; add one with: ${commandOf(config, 'trust add CERT')}`,
    );
}

export async function addTrust(files: readonly string[], options: TrustChangeOptions): Promise<void> {
  const { json, dryRun = false, quiet = false } = options;
  const config = await readConfig(options.config);
  const file = fileOf(config);
  const terminal = createTerminal({ quiet });
  const { known, added } = await trustCertificates(file, await readCertificateFiles(files), { dryRun });
  if (json) {
    printJson('trust add', { file, added: added.map(signerNameOf), kept: known.map(signerNameOf) }, terminal);
  } else {
    for (const certificate of known) terminal.say(`kept  ${describeCertificate(certificate)}`);
    for (const certificate of added) terminal.say(`added  ${describeCertificate(certificate)}`);
  }
  if (added.length > 0)
    terminal.tell("Compare the fingerprint with the signer's before you import anything.");
  tellOfChange(added.length > 0, config, dryRun, terminal);
}

export async function removeTrust(names: readonly string[], options: TrustChangeOptions): Promise<void> {
  const { json, dryRun = false, quiet = false } = options;
  const config = await readConfig(options.config);
  const file = fileOf(config);
  const terminal = createTerminal({ quiet });
  const trusted = await listTrusted(config);
  const named = (await Promise.all(names.map((name) => fingerprintsOf(name, trusted)))).flat();
  const { removed, left } = await distrustCertificates(file, new Set(named), { dryRun });
  const isRemoved = (fingerprint: string): boolean =>
    removed.some(({ fingerprint256 }) => fingerprint256 === fingerprint);
  const missing = [...new Set(named)].filter((fingerprint) => !isRemoved(fingerprint));
  if (json) {
    printJson('trust remove', { file, removed: removed.map(signerNameOf), missing }, terminal);
  } else for (const certificate of removed) terminal.say(`removed  ${describeCertificate(certificate)}`);
  for (const fingerprint of missing)
    terminal.fail(`cache: ${fingerprint} ${reasonOf(fingerprint, left, config)}`, 'incomplete');
  if (removed.length > 0 && left.length === 0)
    terminal.warn('cache: no certificate is trusted now: nothing can be imported');
  tellOfChange(removed.length > 0, config, dryRun, terminal);
}

/** @throws CacheError `config` */
function fileOf({ file }: Config): string {
  if (file !== undefined) return file;
  throw new CacheError(
    'config',
    `no config.ini found in ${process.cwd()}; name it with -c, or make a site: cache init DIR`,
  );
}

function placeOf(from: TrustedCertificate['from'], { file, signature }: Config): string {
  return from === 'own' ? `the site's own: ${signature.certificateFile}` : `in [${from}] of ${file ?? ''}`;
}

/**
 * Fingerprints of the certificates that a person names to remove, trusted or not.
 * @param name a PEM file, or a fingerprint, whose beginning is enough
 * @throws CacheError `usage`, `config`
 */
async function fingerprintsOf(
  name: string,
  trusted: readonly TrustedCertificate[],
): Promise<readonly string[]> {
  const beginning = name.replaceAll(':', '').toUpperCase();
  const isFile = await stat(name).then(
    () => true,
    () => false,
  );
  if (isFile || !/^[0-9A-F]{4,64}$/.test(beginning)) {
    const pems = await readCertificateFiles([name]);
    return pems.map((pem) => new X509Certificate(pem).fingerprint256);
  }
  const all = new Set(trusted.map(({ certificate }) => certificate.fingerprint256));
  const found = [...all].filter((fingerprint) => fingerprint.replaceAll(':', '').startsWith(beginning));
  if (found.length > 1)
    throw new CacheError(
      'usage',
      `${name} is the beginning of ${found.length} fingerprints; write more of one:\n${found.join('\n')}`,
    );
  return found.length === 0 ? [name] : found;
}

function reasonOf(fingerprint: string, left: readonly TrustedCertificate[], config: Config): string {
  const still = left.find(({ certificate }) => certificate.fingerprint256 === fingerprint);
  if (still === undefined) return `is not trusted here; see: ${commandOf(config, 'trust list')}`;
  return still.from === 'own'
    ? `is the site's own; to distrust it, move the file away: ${config.signature.certificateFile}`
    : `is in [upstream] of ${config.file ?? ''}; remove it there by hand`;
}

function tellOfChange(isChanged: boolean, config: Config, dryRun: boolean, terminal: Terminal): void {
  if (dryRun) terminal.tell('Dry run: nothing was changed.');
  else if (isChanged)
    terminal.tell(
      `Changed ${config.file ?? ''}. Restart a running server. Each node trusts the list in its own slapos.cfg: ${commandOf(config, 'slapos-cfg')} prints the new one.`,
    );
}
